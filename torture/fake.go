package main

import (
	"context"
	"io"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/torture/internal/actor"
)

// fakeImage is the one image of the fake engine.
const fakeImage = "guest"

// fakes are the programs of a fake engine.
type fakes struct {
	// spoil, if not nil, makes programs do something else than was ordered, to
	// see whether that is found.
	spoil func(*actor.Order, *actor.World)
}

// startFake starts an engine in this process whose programs are actors: what the
// server does is tortured without what containers cost.
func startFake(f fakes) (*fakeengine.Engine, error) {
	return fakeengine.Start(fakeengine.Options{
		Images:   map[string]fakeengine.Image{fakeImage: {}},
		Programs: map[string]fakeengine.Program{"/.berth/agent": f.agent, "/guest": f.guest},
	})
}

// guest is the guest's program without a container.
func (f fakes) guest(p *fakeengine.Process) int {
	if len(p.Args) != 3 {
		select { // idle
		case <-p.Signals:
		case <-p.Done:
		}
		return 0
	}
	order, err := actor.Parse(p.Args[2])
	if err != nil {
		return actor.CodeBroken
	}
	in, ok := p.Stdin.(io.ReadCloser)
	if !ok {
		in = io.NopCloser(p.Stdin)
	}
	code, signal := f.play(order, actor.World{Stdin: in, Stdout: unclosed{p.Stdout}, Stderr: unclosed{p.Stderr}}, p.Signals, p.Done)
	if signal != "" {
		return 128 + signalNumbers[signal]
	}
	return code
}

// unclosed is a stream of an engine's process, which is closed with the process.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// agent is the agent's end of the protocol.
func (f fakes) agent(p *fakeengine.Process) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.Done:
		case <-ctx.Done():
		}
		cancel()
	}()
	_ = agentproto.Serve(ctx, agentStream{p}, actors{fakes: f}) // until the server ends it
	return 0
}

// agentStream is the stream of a container's first process.
type agentStream struct{ *fakeengine.Process }

func (s agentStream) Read(b []byte) (int, error)  { return s.Stdin.Read(b) }
func (s agentStream) Write(b []byte) (int, error) { return s.Stdout.Write(b) }

// Close ends a Read; a Write ends with the process.
func (s agentStream) Close() error {
	if c, ok := s.Stdin.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// actors are an agent's programs. Nobody asks this agent for connections.
type actors struct{ fakes }

func (a actors) Session(ctx context.Context, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	order, err := actor.Parse(what.Command)
	if err != nil {
		r.Refuse(agentproto.ReasonOther, err.Error())
		return agentproto.Exit{}, false
	}
	if err := r.Started(1); err != nil {
		return agentproto.Exit{}, false
	}
	go func() {
		for range r.Resizes {
		}
	}()
	code, signal := a.play(order, actor.World{Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr}, r.Signals, ctx.Done())
	return agentproto.Exit{Code: uint32(code), Signal: signal}, ctx.Err() == nil
}

func (actors) Dial(context.Context, string, agentproto.Address) (agentproto.Duplex, error) {
	return nil, &agentproto.Refusal{Reason: agentproto.ReasonProhibited, Message: "nobody is there"}
}

func (actors) Listen(context.Context, string, agentproto.Address) (agentproto.ServerListener, error) {
	return nil, &agentproto.Refusal{Reason: agentproto.ReasonProhibited, Message: "nobody may listen"}
}

// play runs an actor with signals as a kernel delivers them, until it ends or
// done is closed. What it is about when a signal ends it ends with its streams.
func (f fakes) play(o actor.Order, w actor.World, signals <-chan string, done <-chan struct{}) (code int, signal string) {
	end := make(chan struct{})
	defer close(end)
	survived, died, exited := make(chan string, 1), make(chan string, 1), make(chan int, 1)
	w.Host, w.Done, w.Signals = "fake", end, survived
	w.Trap = func(string) error { return nil }
	w.Kill = func(name string) {
		died <- name
		<-end
	}
	if f.spoil != nil {
		f.spoil(&o, &w)
	}
	go func() { exited <- actor.Run(o, w) }()
	for {
		select {
		case code := <-exited:
			return code, ""
		case name := <-died:
			return 0, name
		case name, ok := <-signals:
			switch {
			case !ok:
				signals = nil
			case name == o.Trap:
				select {
				case survived <- name:
				default:
				}
			case name != "":
				return 0, name
			}
		case <-done:
			return 0, "KILL"
		}
	}
}
