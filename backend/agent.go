package backend

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/internal/relay"
	"github.com/berth-ssh/berth/sshserver"
)

// Codes of what the guest agent says, without the backend's prefix.
const (
	codeAgentStart = "AGENT_START_FAILED"
	codeAgentLost  = "AGENT_LOST"
)

// Agent is the part of a Workload that a guest agent does: it starts programs,
// and makes and accepts connections. A backend makes one of the stream that it
// has got to the agent.
type Agent struct {
	client *agentproto.Client
	prefix string
	// translate says how the agent is to run a program, and as whom.
	translate func(Program) agentproto.Start
}

var _ Forwarder = (*Agent)(nil)

// NewAgent uses an agent. codePrefix stands before the codes of errors.
// Connections have the rights of the user that translate names for the zero
// Program. Whoever made the client closes it.
func NewAgent(client *agentproto.Client, codePrefix string, translate func(Program) agentproto.Start) *Agent {
	return &Agent{client: client, prefix: codePrefix, translate: translate}
}

// Start starts a program; see Workload.
func (a *Agent) Start(ctx context.Context, p Program, streams Streams) (Execution, error) {
	s, err := a.client.Begin(ctx, a.translate(p))
	if err != nil {
		return nil, a.startError(err)
	}
	e := &agentExecution{a: a, session: s, copying: 2, drained: make(chan struct{})}
	go func() {
		if _, err := relay.Copy(s, streams.Stdin); err == nil {
			_ = s.CloseWrite()
		}
	}()
	unwanted := s.CloseStdout
	if p.Terminal != nil {
		unwanted = func() {} // no program takes it for a pipe
	}
	// What goes wrong there, the agent's word is missing for, too.
	go func() {
		_ = e.copyOutput(streams.Stdout, s.Stdout(), unwanted)
		e.copied()
	}()
	go func() {
		_ = e.copyOutput(streams.Stderr, s.Stderr(), func() {})
		e.copied()
	}()
	// Meanwhile the program's first output is under way to the client.
	if err := s.Started(ctx); err != nil {
		return nil, a.startError(err)
	}
	return e, nil
}

// Dial makes a connection; see Forwarder.
func (a *Agent) Dial(ctx context.Context, to sshserver.Address) (sshserver.Conn, error) {
	conn, err := a.client.Dial(ctx, a.translate(Program{}).User, agentproto.Address(to))
	if err != nil {
		return nil, forwardError(err)
	}
	return conn, nil
}

// Listen makes a listener; see Forwarder.
func (a *Agent) Listen(ctx context.Context, at sshserver.Address) (sshserver.Listener, error) {
	l, err := a.client.Listen(ctx, a.translate(Program{}).User, agentproto.Address(at))
	if err != nil {
		return nil, forwardError(err)
	}
	return agentListener{l}, nil
}

// forwardError makes the agent's refusal one of the channel.
func forwardError(err error) error {
	var refusal *agentproto.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	reason := sshserver.ConnectionFailed
	if refusal.Reason == agentproto.ReasonProhibited {
		reason = sshserver.Prohibited
	}
	return &sshserver.ChannelRejection{Reason: reason, Message: refusal.Message}
}

// agentListener is a listener of the agent's as the server wants it.
type agentListener struct{ *agentproto.Listener }

func (l agentListener) Accept(ctx context.Context) (sshserver.Conn, sshserver.Address, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, sshserver.Address{}, err
	}
	return conn, sshserver.Address(conn.From), nil
}

func (l agentListener) Address() sshserver.Address { return sshserver.Address(l.At) }

func (a *Agent) startError(err error) error {
	e := &Error{Code: a.prefix + codeAgentStart, User: "The program could not be started.",
		Message: "the guest agent could not start the program", Err: err}
	var refusal *agentproto.Refusal
	switch {
	case errors.As(err, &refusal):
		e.User = refusal.Message
		switch refusal.Reason {
		case agentproto.ReasonNotFound:
			e.Exit = 127
		case agentproto.ReasonNotExecutable:
			e.Exit = 126
		}
	case errors.Is(err, agentproto.ErrLost):
		return a.lost(err)
	}
	return e
}

// lost is the error of what can't be known any more.
func (a *Agent) lost(err error) error {
	return &Error{Code: a.prefix + codeAgentLost,
		User:    "The connection to the container was lost; it is not known how the program ended.",
		Message: "the stream to the guest agent has ended", Err: err}
}

// agentExecution is a program that an agent runs.
type agentExecution struct {
	a       *Agent
	session *agentproto.Session
	drained chan struct{} // closed when all output has been copied

	mu      sync.Mutex // for memory only
	copying int        // outputs
	then    func()     // to be called when there are none; may be nil
}

var (
	_ Execution = (*agentExecution)(nil)
	_ drainer   = (*agentExecution)(nil)
)

// whenDrained calls f once, when all output has been copied or ctx ends.
func (e *agentExecution) whenDrained(ctx context.Context, f func()) {
	var once sync.Once
	stop := context.AfterFunc(ctx, func() { once.Do(f) })
	then := func() {
		stop()
		once.Do(f)
	}
	e.mu.Lock()
	copying := e.copying > 0
	if copying {
		e.then = then
	}
	e.mu.Unlock()
	if !copying {
		then()
	}
}

// copied is called at the end of each output.
func (e *agentExecution) copied() {
	e.mu.Lock()
	e.copying--
	last, then := e.copying == 0, e.then
	e.mu.Unlock()
	if !last {
		return
	}
	close(e.drained)
	if then != nil {
		then()
	}
}

// copyOutput copies to the client. What the client does not take is read all the
// same, so that the program is not held up on its way out; but for what the client
// has said that nobody reads, which is for the program to know.
func (e *agentExecution) copyOutput(to io.Writer, from io.Reader, unwanted func()) error {
	_, err := relay.Copy(to, from)
	if errors.Is(err, sshserver.ErrOutputClosed) {
		unwanted()
	}
	if err != nil && !errors.Is(err, agentproto.ErrLost) {
		_, err = io.Copy(io.Discard, from)
	}
	return err
}

// Resize changes the terminal's size.
func (e *agentExecution) Resize(ctx context.Context, s Size) error {
	return e.session.Resize(ctx, agentproto.Size{Columns: s.Columns, Rows: s.Rows, Width: s.Width, Height: s.Height})
}

// Signal sends a signal to the program's process group.
func (e *agentExecution) Signal(ctx context.Context, name string) error {
	return e.session.Signal(ctx, name)
}

// Break interrupts what is in the foreground of the terminal.
func (e *agentExecution) Break(ctx context.Context) error { return e.session.Signal(ctx, "BREAK") }

// Wait waits for all output, and then for the agent's word.
func (e *agentExecution) Wait(ctx context.Context) (sshserver.ExitStatus, error) {
	select {
	case <-e.drained:
	case <-ctx.Done():
		return sshserver.ExitStatus{}, context.Cause(ctx)
	}
	exit, err := e.session.Wait(ctx)
	switch {
	case errors.Is(err, agentproto.ErrLost):
		return sshserver.ExitStatus{}, e.a.lost(err)
	case err != nil:
		return sshserver.ExitStatus{}, err
	}
	return sshserver.ExitStatus{Code: exit.Code, Signal: exit.Signal, CoreDumped: exit.Core}, nil
}

// Close gives the program up: the agent hangs up on it.
func (e *agentExecution) Close(context.Context) error { return e.session.Close() }
