package sshserver

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxLoginBytes bounds what a client may send before it has logged in, in all:
// its identification, key exchanges, keys and signatures. The largest certificates
// are some 8 KiB, and each may be sent twice in each of MaxAuthTries. The library
// would keep up to 4 MiB for a client that sends while a handler thinks about its
// login.
const maxLoginBytes = 256 << 10

// transport is the network connection below the protocol. It counts what
// arrives, so that silence can be noticed, answers segments at once, and sends
// packets whole.
type transport struct {
	net.Conn
	// acknowledge makes the kernel acknowledge what has been received without
	// delay; nil where that can't be done.
	acknowledge func()
	// reads counts the Reads that gave something.
	reads atomic.Uint64
	// backlog is what nobody has read; may be nil. flooded is called when that is
	// too much, before Read fails.
	backlog *backlog
	flooded func()
	// stranger is the number of bytes before the login; trusted ends the count.
	stranger atomic.Int64
	trusted  atomic.Bool
	// overfull is called when a client has sent too many; may be nil.
	overfull func()
	// failed is set before the protocol hears of the end of the connection.
	failed atomic.Bool

	// mu is held over Writes, which come one after another.
	mu sync.Mutex
	// piece is the beginning of a packet whose rest comes with the next Write,
	// or nil; late sends it if nothing comes.
	piece *[pieceSize]byte
	late  *time.Timer
}

func newTransport(conn net.Conn) *transport {
	// Go sets this for connections of its own making; a listener may have
	// made this one in another way.
	if tcp, ok := conn.(interface{ SetNoDelay(bool) error }); ok {
		_ = tcp.SetNoDelay(true)
	}
	return &transport{Conn: conn, acknowledge: quickAck(conn)}
}

func (t *transport) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.seen()
		if t.backlog != nil && t.backlog.add(n) && err == nil {
			t.flooded()
			n, err = 0, errors.New("the client sends what nobody reads")
		}
	}
	if !t.trusted.Load() && t.stranger.Add(int64(n)) > maxLoginBytes && err == nil {
		if t.overfull != nil {
			t.overfull()
		}
		n, err = 0, fmt.Errorf("the client has sent more than %d KiB without a login", maxLoginBytes>>10)
	}
	if err != nil {
		t.failed.Store(true)
	}
	return n, err
}

// trust says that the client has logged in.
func (t *transport) trust() { t.trusted.Store(true) }

// seen counts a Read that has given something.
func (t *transport) seen() {
	t.reads.Add(1)
	if t.acknowledge != nil {
		t.acknowledge()
	}
}

const (
	// pieceSize is the buffer of the protocol's library (bufio): the beginning of
	// a packet that is larger is written alone. As a segment of its own it would
	// wake the client for nothing.
	pieceSize = 4 << 10
	// pieceWait is how long a piece waits for the rest, which follows at once. No
	// packet of an AEAD cipher is as long as a piece, but others can be.
	pieceWait = time.Millisecond
)

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// Write writes the beginning of a packet together with the rest.
func (t *transport) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.piece == nil {
		if len(p) != pieceSize {
			return t.Conn.Write(p)
		}
		t.piece = pieces.Get().(*[pieceSize]byte)
		copy(t.piece[:], p)
		if t.late == nil {
			t.late = time.AfterFunc(pieceWait, t.sendPiece)
		} else {
			t.late.Reset(pieceWait)
		}
		return len(p), nil
	}
	t.late.Stop()
	both := net.Buffers{t.piece[:], p}
	n, err := both.WriteTo(t.Conn)
	t.dropPiece()
	return max(0, int(n)-pieceSize), err
}

// sendPiece sends a piece that nothing has followed.
func (t *transport) sendPiece() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.piece != nil {
		_, _ = t.Conn.Write(t.piece[:]) // the next Write has the error, too
		t.dropPiece()
	}
}

func (t *transport) dropPiece() {
	pieces.Put(t.piece)
	t.piece = nil
}
