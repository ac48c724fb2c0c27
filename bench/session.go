package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/internal/engine"
)

// printing is a command line whose program prints at once.
const printing = "echo x"

// newSessions measures new sessions on an open connection without ssh's own
// process: from the request to the first byte of output.
func (b *bench) newSessions(ctx context.Context) ([]Figure, error) {
	var all []*contender
	var clients []*ssh.Client
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	var berth *ssh.Client
	endpoints, err := b.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		client, err := e.dial(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		clients = append(clients, client)
		if berth == nil {
			berth = client
		}
		all = append(all, &contender{
			series: []*series{{name: e.name, ran: "session channel, exec request \"" + printing + "\", first byte"}},
			run: func(ctx context.Context) ([]time.Duration, error) {
				stop := context.AfterFunc(ctx, func() { _ = client.Close() })
				defer stop()
				d, err := firstByte(client, printing)
				return []time.Duration{d}, err
			},
		})
	}
	exec, err := b.engineExec(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all[:1], append([]*contender{exec}, all[1:]...)...)
	if err := warm(ctx, all); err != nil {
		return nil, err
	}
	if err := alternate(ctx, b.size.sessions, all); err != nil {
		return nil, err
	}
	f := comparison("session_vs_engine_exec", atMost(0.05), "ratio", ratio, allSeries(all))
	if f.Note, err = agentMemory(berth); err != nil {
		return nil, err
	}
	return []Figure{f}, nil
}

// firstByte times a new session up to its first byte of output, and sees it
// end.
func firstByte(client *ssh.Client, command string) (time.Duration, error) {
	begin := time.Now()
	session, err := client.NewSession()
	if err != nil {
		return 0, err
	}
	defer func() { _ = session.Close() }()
	stdout, err := session.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := session.Start(command); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		return 0, err
	}
	d := time.Since(begin)
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		return 0, err
	}
	return d, session.Wait()
}

// engineExec is the engine's own exec of the same command line, in a container
// of its own.
func (b *bench) engineExec(ctx context.Context) (*contender, error) {
	image, err := b.guest(ctx)
	if err != nil {
		return nil, err
	}
	e, err := b.engine()
	if err != nil {
		return nil, err
	}
	// It lasts as long as its input is open, and so ends with this process.
	spec := b.container(image)
	spec.Config.Cmd = []string{"/bin/cat"}
	spec.Config.OpenStdin, spec.Config.StdinOnce, spec.Config.AttachStdin = true, true, true
	id, err := create(ctx, e, spec)
	if err != nil {
		return nil, err
	}
	lifeline, err := e.AttachContainer(ctx, id, false)
	if err != nil {
		return nil, err
	}
	b.onClose(func(context.Context) error { return lifeline.Close() })
	if err := e.StartContainer(ctx, id); err != nil {
		return nil, err
	}
	return &contender{
		series: []*series{{name: "engine exec", ran: "create and start of an exec of /bin/sh -c \"" + printing + "\", first byte"}},
		run: func(ctx context.Context) ([]time.Duration, error) {
			d, err := execFirstByte(ctx, e, id)
			return []time.Duration{d}, err
		},
	}, nil
}

// execFirstByte times an exec in a container up to its first byte of output.
func execFirstByte(ctx context.Context, e *engine.Client, id string) (time.Duration, error) {
	begin := time.Now()
	spec := engine.ExecSpec{Cmd: []string{"/bin/sh", "-c", printing}}
	exec, err := e.CreateExec(ctx, id, spec)
	if err != nil {
		return 0, err
	}
	stream, err := e.StartExec(ctx, exec, spec)
	if err != nil {
		return 0, err
	}
	defer func() { _ = stream.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	if _, err := io.ReadFull(stream, make([]byte, 1)); err != nil {
		return 0, err
	}
	d := time.Since(begin)
	_, err = io.Copy(io.Discard, stream)
	return d, err
}

// agentMemory says what the guest agent of an idle container takes.
func agentMemory(client *ssh.Client) (string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	text, err := session.Output("cat /proc/1/status")
	if err != nil {
		return "", err
	}
	all, err := statusKiB(text, "VmRSS")
	own, err2 := statusKiB(text, "RssAnon")
	threads, _, _ := bytes.Cut(bytes.TrimSpace(after(text, []byte("Threads:"))), []byte("\n"))
	return fmt.Sprintf("the guest agent in the container has %d KiB resident, %d KiB of it its own (the rest is its program, "+
		"which all containers share), and %s threads", all, own, threads), errors.Join(err, err2)
}

func after(text, mark []byte) []byte {
	_, rest, _ := bytes.Cut(text, mark)
	return rest
}

// sharedSessions measures new sessions of stock ssh on a connection that is
// open already.
func (b *bench) sharedSessions(ctx context.Context) ([]Figure, error) {
	endpoints, err := b.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	var all []*contender
	var client *contender
	for _, e := range endpoints {
		m, err := e.openMaster(ctx)
		if err != nil {
			return nil, err
		}
		defer m.close()
		all = append(all, timed(e.name, "ssh HOST true, over a ControlMaster connection", nil,
			func(ctx context.Context) error { return run(m.session(ctx, "true")) }))
		if client == nil {
			client = timed("ssh itself", "ssh -O check HOST: the client's process, which asks nothing of a server", nil,
				func(ctx context.Context) error { return run(m.ssh(ctx, append(m.control(), "-O", "check"))) })
		}
	}
	all = append(all, client)
	if err := warm(ctx, all); err != nil {
		return nil, err
	}
	if err := alternate(ctx, b.size.sharedSessions, all); err != nil {
		return nil, err
	}
	return []Figure{comparison("session_vs_openssh", atMost(0.25), "ratio", ratio, allSeries(all))}, nil
}

func allSeries(all []*contender) []*series {
	var list []*series
	for _, c := range all {
		list = append(list, c.series...)
	}
	return list
}
