package agentproto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-yamux/v5"

	"github.com/berth-ssh/berth/internal/relay"
)

// Handler is what the agent does. Its methods run in goroutines of their own.
type Handler interface {
	// Session starts a program, calls Started or Refuse on r once, and goes on
	// until it has ended and all of its output is written, or ctx has ended,
	// which is when the server gives the session up. ok is false if no
	// program was started, the word on it is lost, or Finish has said it.
	Session(ctx context.Context, what Start, r *Running) (exit Exit, ok bool)

	// Dial makes a connection with the rights of a user, as in Start. The error
	// may be a *Refusal.
	Dial(ctx context.Context, user string, to Address) (Duplex, error)

	// Listen makes a listener with the rights of a user, which is closed when
	// the server wants it no more. The error may be a *Refusal.
	Listen(ctx context.Context, user string, at Address) (ServerListener, error)
}

// Duplex is a connection with half-close.
type Duplex interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// ServerListener accepts connections inside the container.
type ServerListener interface {
	Accept() (Duplex, Address, error)
	At() Address
	Close() error
}

// Running is a session at the agent's end.
type Running struct {
	// Files are the program's own standard streams, where the server has sent
	// such. Then Stdin, Stdout and Stderr are nil, and Finish is to be called.
	Files *Files
	// Stdin, Stdout and Stderr are the server's ends of the program's
	// streams. Stderr is nil with a terminal. The agent closes them: a closed
	// Stdin makes the server's writes fail as those to a closed pipe.
	Stdin          io.ReadCloser
	Stdout, Stderr io.WriteCloser
	// Resizes and Signals are what the server asks for; the channels are
	// closed with the session. Both must be read.
	Resizes <-chan Size
	Signals <-chan string

	control *yamux.Stream
	// requested is closed when the server asks for nothing more, and finished
	// says then whether that is since it knows all.
	requested chan struct{}
	finished  bool
}

// Started says that the program runs.
func (r *Running) Started(pid int) error {
	return writeMessage(r.control, &started{uint32(pid)})
}

// Refuse says why there is no program.
func (r *Running) Refuse(reason Reason, message string) {
	_ = writeMessage(r.control, &Refusal{reason, message})
}

// Finish says how a program with Files has ended, and waits. It returns true when
// the server has read all of the output, also that of processes which the program
// has left behind; false if the server gives the session up.
func (r *Running) Finish(exit Exit) bool {
	_ = writeMessage(r.control, &exit)
	<-r.requested
	return r.finished
}

// Serve is the agent's end: it serves the server at the other end of stream
// until that ends, and returns when all handlers have returned, whose contexts
// end with the stream. A Close of stream must end its Read and Write.
func Serve(ctx context.Context, stream io.ReadWriteCloser, h Handler) error {
	if err := answer(stream); err != nil {
		_ = stream.Close()
		return err
	}
	b := &budget{left: growth}
	mux, err := yamux.Server(&conn{ReadWriteCloser: stream}, muxConfig(maxStreamsToAgent), b.open)
	if err != nil {
		_ = stream.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &service{mux: mux, handler: h, stdio: map[uint32]*yamux.Stream{}}
	s.files, _ = stream.(FileReader)
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	defer stop()
	err = s.accept(ctx)
	cancel()
	_ = mux.Close()
	s.work.Wait()
	return err
}

// service is one run of Serve.
type service struct {
	mux     *yamux.Session
	handler Handler
	files   FileReader // nil if none can come
	work    sync.WaitGroup
	// stdio are streams that no session has claimed yet. Only accept uses it.
	stdio map[uint32]*yamux.Stream
}

// accept takes the server's streams, in the order in which they were opened: a
// session comes after its standard streams. The server sends the first message
// with the opening, so that reading it here holds nobody up.
func (s *service) accept(ctx context.Context) error {
	for {
		stream, err := s.mux.AcceptStream()
		if err != nil {
			return err
		}
		t, body, err := readFrame(stream, maxToAgent)
		if err != nil {
			_ = stream.ResetWithError(codeRefused)
			continue // given up meanwhile, or the end, which comes next
		}
		switch t {
		case typeStdio:
			s.stdio[stream.StreamID()] = stream
		case typeSession:
			s.session(ctx, stream, body)
		case typeDial:
			s.work.Go(func() { s.dial(ctx, stream, body) })
		case typeListen:
			s.work.Go(func() { s.listen(ctx, stream, body) })
		default:
			_ = writeMessage(stream, &Refusal{ReasonProhibited, fmt.Sprintf("this agent knows no streams of type %d", t)})
			_ = stream.Close()
		}
	}
}

// claim takes a standard stream; nil if there is none of that id.
func (s *service) claim(id uint32) *yamux.Stream {
	stream := s.stdio[id]
	delete(s.stdio, id)
	return stream
}

func (s *service) session(ctx context.Context, control *yamux.Stream, body []byte) {
	r := &Running{control: control, requested: make(chan struct{})}
	var what Start
	err := parse(body, &what)
	if err == nil {
		err = s.provide(r, &what)
	}
	if err != nil {
		r.closeStreams()
		_ = writeMessage(control, &Refusal{ReasonOther, err.Error()})
		_ = control.Close()
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resizes, signals := make(chan Size), make(chan string)
	r.Resizes, r.Signals = resizes, signals
	s.work.Go(func() {
		defer close(resizes)
		defer close(signals)
		err := r.requests(ctx, resizes, signals)
		r.finished = err == io.EOF
		close(r.requested)
		cancel(err)
	})
	s.work.Go(func() {
		exit, ok := s.handler.Session(ctx, what, r)
		r.closeStreams()
		if ok {
			_ = writeMessage(control, &exit)
		}
		cancel(errors.New("the session has ended"))
		// The server may still be sending: it is not listened to any more.
		_ = control.Close()
	})
}

// provide finds the streams or files that a session is to have.
func (s *service) provide(r *Running, what *Start) error {
	if what.files > 0 {
		if s.files != nil {
			r.Files = newFiles(s.files.TakeFiles(what.files - 1))
		}
		if r.Files == nil {
			return errors.New("the session's files are not there")
		}
		return nil
	}
	stdin, stdout, stderr := s.claim(what.stdin), s.claim(what.stdout), s.claim(what.stderr)
	if stdin != nil {
		r.Stdin = streamReader{stdin}
	}
	if stdout != nil {
		r.Stdout = streamWriter{stdout}
	}
	if stderr != nil {
		r.Stderr = streamWriter{stderr}
	}
	if stdin == nil || stdout == nil || (stderr == nil) != (what.Terminal != nil) {
		return errors.New("the session's streams are not there")
	}
	return nil
}

func (r *Running) closeStreams() {
	if r.Files != nil {
		r.Files.Close()
		r.Files.endInput()
	}
	if r.Stdin != nil {
		_ = r.Stdin.Close()
	}
	if r.Stdout != nil {
		_ = r.Stdout.Close()
	}
	if r.Stderr != nil {
		_ = r.Stderr.Close()
	}
}

// requests passes on what the server asks of a session, until the server gives
// it up, or knows all, which is io.EOF.
func (r *Running) requests(ctx context.Context, resizes chan<- Size, signals chan<- string) error {
	for {
		m, err := readMessage(r.control, maxToAgent, &resize{}, &signal{}, &inputEnd{})
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *resize:
			select {
			case resizes <- m.size:
			case <-ctx.Done():
			}
		case *signal:
			select {
			case signals <- m.name:
			case <-ctx.Done():
			}
		case *inputEnd:
			if r.Files != nil {
				r.Files.endInput()
			}
		}
	}
}

// streamReader is the agent's end of a program's standard input.
type streamReader struct{ s *yamux.Stream }

func (r streamReader) Read(b []byte) (int, error) { return r.s.Read(b) }
func (r streamReader) Close() error               { return r.s.ResetWithError(codeClosed) }

// streamWriter is the agent's end of a program's output.
type streamWriter struct{ s *yamux.Stream }

func (w streamWriter) Write(b []byte) (int, error) {
	n, err := w.s.Write(b)
	return n, writeError(err)
}
func (w streamWriter) Close() error { return w.s.CloseWrite() }

func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{ReasonConnectFailed, err.Error()}
}

func (s *service) dial(ctx context.Context, stream *yamux.Stream, body []byte) {
	var m dial
	err := parse(body, &m)
	var c Duplex
	if err == nil {
		c, err = s.handler.Dial(ctx, m.user, m.to)
	}
	if err != nil {
		_ = writeMessage(stream, refusal(err))
		_ = stream.Close()
		return
	}
	if err := writeMessage(stream, &connected{}); err != nil {
		_ = c.Close()
		return
	}
	splice(ctx, stream, c)
}

// splice copies both ways, each to its own end, and closes both when both have
// ended, or the server gives the stream up. Where c breaks off, what it has said
// before is still delivered, and then comes the end.
func splice(ctx context.Context, stream *yamux.Stream, c Duplex) {
	abort := func() {
		_ = c.Close()
		_ = stream.ResetWithError(codeClosed)
	}
	stop := context.AfterFunc(ctx, abort)
	defer stop()
	// c has no use any more when it says nothing and takes nothing.
	var useless atomic.Int32
	less := func() {
		if useless.Add(1) == 2 {
			abort()
		}
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, err := relay.Copy(c, stream)
		if err == nil {
			err = c.CloseWrite()
		}
		if err == nil {
			return
		}
		less()
		if _, err := io.Copy(io.Discard, stream); err != nil {
			abort()
		}
	})
	both.Go(func() {
		_, _ = relay.Copy(stream, c)
		if stream.CloseWrite() != nil {
			abort()
		}
		less()
	})
	both.Wait()
	abort()
}

func (s *service) listen(ctx context.Context, stream *yamux.Stream, body []byte) {
	defer func() { _ = stream.Close() }()
	var m listen
	err := parse(body, &m)
	var l ServerListener
	if err == nil {
		l, err = s.handler.Listen(ctx, m.user, m.at)
	}
	if err != nil {
		_ = writeMessage(stream, refusal(err))
		return
	}
	if err := writeMessage(stream, &listening{l.At()}); err != nil {
		_ = l.Close()
		return
	}
	closed := make(chan struct{})
	s.work.Go(func() {
		defer close(closed)
		// The server says nothing more; the stream ends when it wants no more.
		var b [1]byte
		_, _ = stream.Read(b[:])
		_ = l.Close()
	})
	// The end of the stream says that the address is free again.
	defer func() {
		_ = stream.CloseRead()
		<-closed
	}()
	for {
		c, from, err := l.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.forward(ctx, stream.StreamID(), c, from) })
	}
}

// forward offers an accepted connection to the server.
func (s *service) forward(ctx context.Context, listener uint32, c Duplex, from Address) {
	stream, err := s.mux.OpenStream(ctx)
	if err == nil {
		err = writeMessage(stream, &accepted{listener, from})
	}
	if err != nil {
		_ = c.Close()
		return
	}
	splice(ctx, stream, c)
}
