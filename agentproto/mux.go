package agentproto

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

const (
	// pingInterval is how often each end sees whether the other is alive.
	// Transports cut what is silent for long.
	pingInterval = 20 * time.Second
	// stallTimeout is how long the other end may take to answer a ping, and to
	// take what is sent: so long may a container be frozen.
	stallTimeout = time.Minute

	// window is what may be under way on a stream that nobody reads.
	window = 256 << 10
	// maxWindow is what a window may grow to where round trips are long.
	maxWindow = 1 << 20

	// maxStreams bounds the streams that the other end may open. Towards the
	// server these are connections to listeners.
	maxStreamsToServer = 256
	maxStreamsToAgent  = 1 << 16
	// acceptBacklog is how many streams may wait to be accepted: an end that has
	// opened as many waits, and more are reset.
	acceptBacklog = 64
	// growth bounds what the windows of all streams of one container may
	// grow by together.
	growth = 16 << 20
)

func muxConfig(maxIncoming uint32) *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = pingInterval
	c.ConnectionWriteTimeout = stallTimeout
	// Round trips matter for the growth of windows only.
	c.MeasureRTTInterval = time.Hour
	c.MaxIncomingStreams = maxIncoming
	c.AcceptBacklog = acceptBacklog
	c.InitialStreamWindowSize = window
	c.MaxStreamWindowSize = maxWindow
	c.MaxMessageSize = 32 << 10
	c.ReadBufSize = 0 // see conn
	// What goes wrong comes out of its calls as well.
	c.LogOutput = io.Discard
	return c
}

// streamCode is sent with the reset of a stream.
const (
	codeClosed  = 0 // nobody reads any more
	codeRefused = 1 // nobody has asked for this stream
)

// conn makes a net.Conn of any stream. Deadlines are not kept, but for one: what
// takes nothing for stallTimeout is closed. Pings would not tell, since no end
// pings another one that goes on sending.
//
// It reads ahead, since messages are short, with a small buffer for as long as little
// comes. It sends what opens a stream with what comes next, which is the stream's
// first message, so that the other end wakes up once.
type conn struct {
	io.ReadWriteCloser

	few   [fewBytes]byte
	many  *[manyBytes]byte // while more comes than few holds; otherwise nil
	much  bool             // the last read has filled few, at least
	ahead []byte           // has been read, and is next
	err   error            // comes after that

	opening []byte // has not been sent yet
}

const (
	// fewBytes is enough for what people type and read.
	fewBytes = 512
	// manyBytes is for many short messages. Long ones are read past it.
	manyBytes = 4 << 10
)

var manyBuffers = sync.Pool{New: func() any { return new([manyBytes]byte) }}

// Read is for one goroutine at a time.
func (c *conn) Read(b []byte) (n int, err error) {
	if len(c.ahead) == 0 && c.err == nil {
		buf := c.buffer()
		if len(b) >= len(buf) {
			return c.ReadWriteCloser.Read(b)
		}
		n, c.err = c.ReadWriteCloser.Read(buf)
		c.ahead, c.much = buf[:n], n >= fewBytes
	}
	if len(c.ahead) == 0 {
		err, c.err = c.err, nil
		return 0, err
	}
	n = copy(b, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// buffer is what to read into.
func (c *conn) buffer() []byte {
	switch {
	case c.much && c.many == nil:
		c.many = manyBuffers.Get().(*[manyBytes]byte)
	case !c.much && c.many != nil:
		manyBuffers.Put(c.many)
		c.many = nil
	}
	if c.many != nil {
		return c.many[:]
	}
	return c.few[:]
}

// Write is for one goroutine at a time.
func (c *conn) Write(b []byte) (int, error) {
	if opens(b) {
		c.opening = append(c.opening, b...)
		return len(b), nil
	}
	held := len(c.opening)
	if held > 0 {
		b = append(c.opening, b...)
		c.opening = nil
	}
	stalled := time.AfterFunc(stallTimeout, func() { _ = c.Close() })
	defer stalled.Stop()
	n, err := c.ReadWriteCloser.Write(b)
	return max(n-held, 0), err
}

// opens says whether b is a frame of yamux that opens a stream and does nothing else:
// version 0, type 1 (window update), flags 1 (SYN).
func opens(b []byte) bool {
	const frame = 12
	return len(b) == frame && [4]byte(b) == [4]byte{0, 1, 0, 1}
}

func (*conn) LocalAddr() net.Addr              { return address{} }
func (*conn) RemoteAddr() net.Addr             { return address{} }
func (*conn) SetDeadline(time.Time) error      { return nil }
func (*conn) SetReadDeadline(time.Time) error  { return nil }
func (*conn) SetWriteDeadline(time.Time) error { return nil }

type address struct{}

func (address) Network() string { return "berth" }
func (address) String() string  { return "guest agent" }

// budget is the memory that the windows of a connection's streams may grow by.
// The first window of each is not counted: streams are, instead.
type budget struct {
	mu   sync.Mutex
	left int
}

func (b *budget) open() (yamux.MemoryManager, error) { return &grant{of: b}, nil }

var errBudget = errors.New("no more memory for this connection's windows")

// grant is one stream's part of a budget.
type grant struct {
	of   *budget
	held int  // of.mu
	done bool // of.mu
}

const firstWindow = 255 // the priority of a stream's first window

func (g *grant) ReserveMemory(size int, priority uint8) error {
	if priority == firstWindow {
		return nil
	}
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.done || size > g.of.left {
		return errBudget
	}
	g.of.left -= size
	g.held += size
	return nil
}

func (g *grant) ReleaseMemory(size int) {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	g.held -= size
	g.of.left += size
}

func (g *grant) Done() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	g.of.left += g.held
	g.held, g.done = 0, true
}

// writeError makes the error of a stream that the other end has closed for
// reading io.ErrClosedPipe, as if it were a pipe.
func writeError(err error) error {
	var reset *yamux.StreamError
	if errors.As(err, &reset) || errors.Is(err, yamux.ErrStreamReset) {
		return io.ErrClosedPipe
	}
	return err
}

// headerTimeout is how long the agent may take to say what a stream is for: it
// comes with its opening.
const headerTimeout = 10 * time.Second

// awaitHeader reads the first message of a stream that the agent has opened.
func awaitHeader(s *stream, m message) error {
	_ = s.SetReadDeadline(time.Now().Add(headerTimeout))
	_, err := readMessage(s, maxToServer, m)
	_ = s.SetReadDeadline(time.Time{})
	return err
}
