package agentproto

import (
	"context"
	"io"
	"sync"
	"time"
)

// Session is one running program, at the server's end. All methods may be
// called at any time, but for Stdout and Stderr, which have one reader each.
type Session struct {
	// PID is the program's process id in the container, once it has started.
	PID uint32

	control        *stream
	stdin          input
	stdout, stderr output // stderr is nil with a terminal

	turn      chan struct{} // capacity 1: held while a message is written
	following sync.Once
	ended     chan struct{}
	exit      Exit  // set before ended is closed
	err       error // likewise
}

// Start is Begin and Started.
func (c *Client) Start(ctx context.Context, what Start) (*Session, error) {
	s, err := c.Begin(ctx, what)
	if err == nil {
		err = s.Started(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Begin asks for a program, whose streams may be used at once: what it writes need
// not wait for the word that it runs. Started must be called before Wait and Close.
func (c *Client) Begin(ctx context.Context, what Start) (*Session, error) {
	s := &Session{turn: make(chan struct{}, 1), ended: make(chan struct{})}
	if !c.pipes(ctx, s, &what) {
		if err := c.streams(ctx, s, &what); err != nil {
			s.reset()
			return nil, err
		}
	}
	control, err := c.begin(ctx, &what)
	if err != nil {
		s.reset()
		return nil, err
	}
	s.control = control
	return s, nil
}

// Started waits for the word on a program. The error is a *Refusal if the agent could
// not start it; the Session is closed then. Otherwise the caller closes it.
func (s *Session) Started(ctx context.Context) error {
	var answer started
	if err := await(ctx, s.control, &answer); err != nil {
		s.reset()
		return err
	}
	s.PID = answer.pid
	if _, ok := s.stdin.(*pipeInput); ok {
		s.follow() // pipes don't end when the stream to the agent is lost
	}
	return nil
}

// streams gives a session a stream for each of its program's.
func (c *Client) streams(ctx context.Context, s *Session, what *Start) error {
	open := func(id *uint32) (*stream, error) {
		opened, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		*id = opened.StreamID()
		if err := say(ctx, opened, &stdio{}); err != nil {
			opened.abandon(codeClosed)
			return nil, err
		}
		return opened, nil
	}
	stdin, err := open(&what.stdin)
	if err != nil {
		return err
	}
	s.stdin = streamInput{stdin}
	outputs := map[*output]*uint32{&s.stdout: &what.stdout}
	if what.Terminal == nil {
		outputs[&s.stderr] = &what.stderr
	}
	for to, id := range outputs {
		opened, err := open(id)
		if err != nil {
			return err
		}
		*to = streamOutput{opened}
		// What the server does not write to is closed, so that ends are seen.
		go func() { _ = opened.CloseWrite() }()
	}
	return nil
}

// follow begins to wait for the program's exit. Where all that the program has is
// streams, that is early enough when they have ended.
func (s *Session) follow() { s.following.Do(func() { go s.readExit() }) }

func (s *Session) readExit() {
	defer close(s.ended)
	var exit Exit
	if _, err := readMessage(s.control, maxToServer, &exit); err != nil {
		s.err = lost(err)
		for _, o := range []output{s.stdout, s.stderr} {
			if p, ok := o.(*pipeOutput); ok {
				_ = p.file.SetReadDeadline(time.Now().Add(lastOutput))
			}
		}
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
func (s *Session) Stdout() io.Reader { return s.stdout }

// Stderr is the program's standard error, which is empty with a terminal.
func (s *Session) Stderr() io.Reader {
	if s.stderr == nil {
		return eof{}
	}
	return s.stderr
}

// eof has nothing to read.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// CloseStdout says that nobody reads standard output any more: the program's
// next write fails, as to a closed pipe.
func (s *Session) CloseStdout() { s.stdout.abandon() }

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

// Wait returns how the program has ended. It is called when all of the output has
// been read: Stdout and Stderr have come to their ends. What the program has left
// behind without them goes on, then. ErrLost if the end can't be known any more.
func (s *Session) Wait(ctx context.Context) (Exit, error) {
	s.follow()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
	if s.err == nil {
		// The agent takes a reset for a session that is given up.
		_ = s.control.CloseWrite()
		_ = s.control.CloseRead()
	}
	return s.exit, s.err
}

// Close gives the session up. A program that still runs gets HUP and CONT, then
// TERM, then KILL from the agent; Close does not wait for that.
func (s *Session) Close() error {
	s.reset()
	s.follow()
	<-s.ended
	return nil
}

func (s *Session) reset() {
	if s.control != nil {
		s.control.abandon(codeClosed)
	}
	if s.stdin != nil {
		s.stdin.abandon()
	}
	for _, o := range []output{s.stdout, s.stderr} {
		if o != nil {
			o.giveUp()
		}
	}
}
