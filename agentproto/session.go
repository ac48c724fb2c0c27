package agentproto

import (
	"context"
	"errors"
	"io"
)

// Session is one running program, at the server's end. All methods may be
// called at any time, but for Stdout and Stderr, which have one reader each.
type Session struct {
	// PID is the program's process id in the container.
	PID uint32

	control               *stream
	stdin, stdout, stderr *stream // stderr is nil with a terminal

	turn  chan struct{} // capacity 1: held while a message is written
	ended chan struct{}
	exit  Exit  // set before ended is closed
	err   error // likewise
}

// Start starts a program. The error is a *Refusal if the agent could not.
// Whoever called it closes the Session.
func (c *Client) Start(ctx context.Context, what Start) (*Session, error) {
	s := &Session{turn: make(chan struct{}, 1), ended: make(chan struct{})}
	open := func(to **stream, id *uint32) error {
		stream, err := c.open(ctx)
		if err != nil {
			return err
		}
		*to, *id = stream, stream.StreamID()
		return say(ctx, stream, &stdio{})
	}
	err := open(&s.stdin, &what.stdin)
	if err == nil {
		err = open(&s.stdout, &what.stdout)
	}
	if err == nil && what.Terminal == nil {
		err = open(&s.stderr, &what.stderr)
	}
	var answer started
	if err == nil {
		s.control, err = c.ask(ctx, &what, &answer)
	}
	if err != nil {
		s.reset()
		return nil, err
	}
	s.PID = answer.pid
	go s.follow()
	// What the server does not write to the outputs is closed, so that ends are
	// seen.
	go func() {
		_ = s.stdout.CloseWrite()
		if s.stderr != nil {
			_ = s.stderr.CloseWrite()
		}
	}()
	return s, nil
}

// follow waits for the program's exit.
func (s *Session) follow() {
	defer close(s.ended)
	var exit Exit
	if _, err := readMessage(s.control, maxToServer, &exit); err != nil {
		s.err = lost(err)
		return
	}
	s.exit = exit
}

// Write writes to the program's standard input; io.ErrClosedPipe if it takes no
// more.
func (s *Session) Write(b []byte) (int, error) { return s.stdin.Write(b) }

// CloseWrite ends the program's standard input. With a terminal that is its
// VEOF character, which the agent writes.
func (s *Session) CloseWrite() error { return s.stdin.CloseWrite() }

// Stdout is the program's standard output, or its terminal.
func (s *Session) Stdout() io.Reader { return output{s.stdout} }

// Stderr is the program's standard error, which is empty with a terminal.
func (s *Session) Stderr() io.Reader { return output{s.stderr} }

// output is a stream from a program.
type output struct{ stream *stream }

func (o output) Read(b []byte) (int, error) {
	if o.stream == nil {
		return 0, io.EOF
	}
	n, err := o.stream.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = lost(err)
	}
	return n, err
}

// CloseStdout says that nobody reads standard output any more: the program's
// next write fails, as to a closed pipe.
func (s *Session) CloseStdout() { s.stdout.abandon(codeClosed) }

// Resize changes the size of the program's terminal.
func (s *Session) Resize(ctx context.Context, size Size) error { return s.send(ctx, &resize{size}) }

// Signal sends a signal of RFC 4254 section 6.10 to the program's process group.
// "BREAK" is a break on its terminal (RFC 4335).
func (s *Session) Signal(ctx context.Context, name string) error { return s.send(ctx, &signal{name}) }

// send sends a message. It may be sent later if ctx ends before, which is when
// the agent is stalled: half a message can't be taken back.
func (s *Session) send(ctx context.Context, m message) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	sent := make(chan error, 1)
	go func() {
		sent <- writeMessage(s.control, m)
		<-s.turn
	}()
	select {
	case err := <-sent:
		if err != nil {
			return lost(err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Wait returns how the program has ended. The agent says so after all of the
// output, which is to be read first: Stdout and Stderr have come to their ends.
// ErrLost if that can't be known any more.
func (s *Session) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-s.ended:
		return s.exit, s.err
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

// Close gives the session up. A program that still runs gets HUP and CONT, then
// TERM, then KILL from the agent; Close does not wait for that.
func (s *Session) Close() error {
	s.reset()
	<-s.ended
	return nil
}

func (s *Session) reset() {
	for _, stream := range []*stream{s.control, s.stdin, s.stdout, s.stderr} {
		if stream != nil {
			stream.abandon(codeClosed)
		}
	}
}
