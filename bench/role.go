package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/internal/fakeengine"
)

// fakeImage is the one image that the engine of playEngine has.
const fakeImage = "guest"

// playEngine is an engine whose containers are goroutines. It begins with its
// address.
func playEngine(in io.Reader, out io.Writer) error {
	e, err := fakeengine.Start(fakeengine.Options{
		Images:   map[string]fakeengine.Image{fakeImage: {}},
		Programs: map[string]fakeengine.Program{"/.berth/agent": playAgent},
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(e.Host()); err != nil {
		return errors.Join(err, e.Close())
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, e.Close())
}

// playAgent is the agent's end of the protocol, with programs that do nothing.
func playAgent(p *fakeengine.Process) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.Done:
		case <-ctx.Done():
		}
		cancel()
	}()
	// How it ends is of no interest: the server ends it.
	_ = agentproto.Serve(ctx, link(p), idlePrograms{})
	return 0
}

// link is the stream to the server: a socket of its own, as a real agent finds it.
func link(p *fakeengine.Process) io.ReadWriteCloser {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: filepath.Join(p.Binds["/.berth/server"], "socket")})
	if err != nil {
		return stdio{p}
	}
	return agentproto.NewAgentSocket(conn)
}

// stdio is the stream of a container's first process.
type stdio struct{ *fakeengine.Process }

func (s stdio) Read(b []byte) (int, error)  { return s.Stdin.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.Stdout.Write(b) }

// Close ends a Read; a Write ends with the process.
func (s stdio) Close() error {
	if c, ok := s.Stdin.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// idlePrograms are shells that print a prompt and wait for the end of their
// input, and commands that end at once. There is nothing else: nobody here asks
// for connections.
type idlePrograms struct{ agentproto.Handler }

func (idlePrograms) Session(ctx context.Context, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	if err := r.Started(1); err != nil {
		return agentproto.Exit{}, false
	}
	if r.Files != nil {
		r.Files.Close()
		r.Finish(agentproto.Exit{})
		return agentproto.Exit{}, false
	}
	if what.Kind != agentproto.KindShell {
		return agentproto.Exit{}, true
	}
	go func() {
		for range r.Resizes {
		}
	}()
	go func() {
		for range r.Signals {
		}
	}()
	if _, err := r.Stdout.Write([]byte("$ ")); err != nil {
		return agentproto.Exit{}, false
	}
	_, _ = io.Copy(io.Discard, r.Stdin)
	return agentproto.Exit{}, ctx.Err() == nil
}

// opening is how many logins of a crowd are under way at a time.
const opening = 8

// playClients holds connections to a server open, each with a shell on a
// terminal. It reads how many there should be, and answers with an empty text
// when there are, or with what went wrong.
func playClients(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 4 {
		return errors.New("want an address, a user, a key file and a file of known hosts")
	}
	e, err := newEndpoint("server", args[0], args[1], args[2], args[3])
	if err != nil {
		return err
	}
	var open []*ssh.Client
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var want int
		if err := questions.Decode(&want); errors.Is(err, io.EOF) {
			return nil // the connections end with the process
		} else if err != nil {
			return err
		}
		for len(open) > want {
			_ = open[len(open)-1].Close()
			open = open[:len(open)-1]
		}
		more, err := openShells(e, want-len(open))
		open = append(open, more...)
		answer := ""
		if err != nil {
			answer = fmt.Sprintf("%d of %d connections: %v", len(open), want, err)
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

// openShells opens so many more connections, and stops at the first failure.
func openShells(e *endpoint, n int) ([]*ssh.Client, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var mu sync.Mutex
	var open []*ssh.Client
	var group sync.WaitGroup
	turns := make(chan struct{})
	for range opening {
		group.Go(func() {
			for range turns {
				client, err := openShell(ctx, e)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				open = append(open, client)
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		turns <- struct{}{}
	}
	close(turns)
	group.Wait()
	return open, context.Cause(ctx)
}

// openShell logs in and starts a shell, and returns when it has shown its
// prompt.
func openShell(ctx context.Context, e *endpoint) (_ *ssh.Client, err error) {
	client, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = client.Close()
		}
	}()
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return nil, err
	}
	// Input that stays open; without it the shell would see its end.
	if _, err := session.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.Shell(); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(stdout, make([]byte, 1))
	return client, err
}
