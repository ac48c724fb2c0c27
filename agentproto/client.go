package agentproto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// ErrLost says that the stream to the agent has ended, and with it the word on
// what has become of programs and connections.
var ErrLost = errors.New("the connection to the container was lost")

// Client is the server's end. All methods may be called at any time.
type Client struct {
	stream io.ReadWriteCloser
	mux    *yamux.Session

	accepting sync.Once
	mu        sync.Mutex // for memory only
	listeners map[uint32]*Listener
}

// Connect greets the agent at the other end of conn, which belongs to the
// Client from now on: it is closed with it, or when Connect fails. A Close of
// conn must end its Read and Write. ctx is for the greeting. Where conn is a
// *Socket, programs without a terminal get pipes.
//
// The error is a *NotAgentError or a *VersionError if something else answers.
func Connect(ctx context.Context, stream io.ReadWriteCloser) (*Client, error) {
	if err := greet(ctx, stream); err != nil {
		_ = stream.Close()
		return nil, err
	}
	b := &budget{left: growth}
	mux, err := yamux.Client(&conn{ReadWriteCloser: stream}, muxConfig(maxStreamsToServer), b.open)
	if err != nil {
		_ = stream.Close()
		return nil, err // the configuration, which is ours
	}
	return &Client{stream: stream, mux: mux, listeners: map[uint32]*Listener{}}, nil
}

// Close ends the connection. The agent ends all programs then.
func (c *Client) Close() error { return c.mux.Close() }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.mux.CloseChan() }

// open opens a stream.
func (c *Client) open(ctx context.Context) (*stream, error) {
	s, err := c.mux.OpenStream(ctx)
	switch {
	case err == nil:
		return newStream(s), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, lost(err)
}

// say sends the first message of a stream, which says what the stream is for.
// When ctx ends before, the stream is reset.
func say(ctx context.Context, s *stream, m message) error {
	stop := context.AfterFunc(ctx, func() { s.abandon(codeClosed) })
	err := writeMessage(s, m)
	switch {
	case !stop():
		return context.Cause(ctx)
	case err != nil:
		return lost(err)
	}
	return nil
}

func lost(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }

// begin opens a stream and sends its first message.
func (c *Client) begin(ctx context.Context, first message) (*stream, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if err = say(ctx, s, first); err != nil {
		s.abandon(codeClosed)
		return nil, err
	}
	return s, nil
}

// await reads an answer. When ctx ends before, the stream is reset.
func await(ctx context.Context, s *stream, answer message) error {
	stop := context.AfterFunc(ctx, func() { s.abandon(codeClosed) })
	m, err := readMessage(s, maxToServer, answer, &Refusal{})
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return lost(err)
	}
	if refusal, ok := m.(*Refusal); ok {
		return refusal
	}
	return nil
}

// accept takes the streams that the agent opens. Those that nobody has asked
// for are reset. It begins with the first listener; what comes before that waits,
// up to acceptBacklog.
func (c *Client) accept() {
	for {
		s, err := c.mux.AcceptStream()
		if err != nil {
			return
		}
		go c.incoming(newStream(s))
	}
}

func (c *Client) incoming(s *stream) {
	var m accepted
	if err := awaitHeader(s, &m); err != nil || !c.deliver(m.listener, &Conn{stream: s, From: m.from}) {
		s.abandon(codeRefused)
	}
}

// deliver gives a connection to its listener, if that still wants it.
func (c *Client) deliver(listener uint32, conn *Conn) bool {
	// With the lock, so that nothing is delivered to what has been closed.
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[listener]
	if l == nil {
		return false
	}
	select {
	case l.queue <- conn:
		return true
	default:
		return false
	}
}

// Conn is a connection inside the container, made or accepted by the agent.
// Reads end with io.EOF at the other side's half-close.
type Conn struct {
	stream *stream
	// From is the other side's address, of an accepted connection.
	From Address
}

// Read reads what the other side sends.
func (c *Conn) Read(b []byte) (int, error) { return c.stream.Read(b) }

// Write writes to the other side; io.ErrClosedPipe if that is gone.
func (c *Conn) Write(b []byte) (int, error) { return c.stream.Write(b) }

// CloseWrite half-closes: the other side reads the end, and may go on writing.
func (c *Conn) CloseWrite() error { return c.stream.CloseWrite() }

// Close closes both directions at once, and ends what is under way.
func (c *Conn) Close() error {
	c.stream.abandon(codeClosed)
	return nil
}

// Dial makes a connection from inside the container, with the rights of a user
// as in Start. The error is a *Refusal if the agent could not make it.
func (c *Client) Dial(ctx context.Context, user string, to Address) (*Conn, error) {
	s, err := c.begin(ctx, &dial{user, to})
	if err != nil {
		return nil, err
	}
	if err := await(ctx, s, &connected{}); err != nil {
		s.abandon(codeClosed)
		return nil, err
	}
	return &Conn{stream: s}, nil
}

// Listener is a listener inside the container.
type Listener struct {
	// At is where it listens: the port is never 0.
	At Address

	c      *Client
	stream *stream
	queue  chan *Conn
	closed chan struct{}
	over   chan struct{} // closed when the agent listens no more
	once   sync.Once
}

// backlog is how many connections may wait for Accept; more are refused.
const backlog = 32

// Listen makes a listener inside the container, with the rights of a user as in
// Start. The error is a *Refusal if the agent could not make it. It lives until
// Close or the end of the Client.
func (c *Client) Listen(ctx context.Context, user string, at Address) (*Listener, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	l := &Listener{c: c, stream: s, queue: make(chan *Conn, backlog), closed: make(chan struct{}), over: make(chan struct{})}
	c.accepting.Do(func() { go c.accept() })
	// Connections may come at the same time as the answer.
	c.mu.Lock()
	c.listeners[s.StreamID()] = l
	c.mu.Unlock()
	var answer listening
	if err = say(ctx, s, &listen{user, at}); err == nil {
		err = await(ctx, s, &answer)
	}
	if err != nil {
		close(l.over)
		_ = l.Close()
		return nil, err
	}
	l.At = answer.at
	go func() {
		// Nothing more is said on the stream: it ends with the listener.
		var b [1]byte
		_, _ = s.Read(b[:])
		close(l.over)
		_ = l.Close()
	}()
	return l, nil
}

// Accept waits for a connection. After the end of the listener it returns
// io.EOF.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close ends the listener, and returns when its address is free again. Connections
// that it has accepted go on; those that nobody has taken are closed.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.c.mu.Lock()
		delete(l.c.listeners, l.stream.StreamID())
		l.c.mu.Unlock()
		patience := time.AfterFunc(resetPatience, func() { l.stream.abandon(codeClosed) })
		_ = l.stream.CloseWrite()
		<-l.over
		patience.Stop()
		l.stream.abandon(codeClosed)
		for {
			select {
			case c := <-l.queue:
				_ = c.Close()
				continue
			default:
			}
			return
		}
	})
	return nil
}
