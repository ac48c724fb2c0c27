package sshserver

import (
	"net"
	"sync/atomic"
)

// transport is the network connection below the protocol. It counts what
// arrives, so that silence can be noticed, and answers segments at once.
type transport struct {
	net.Conn
	// acknowledge makes the kernel acknowledge what has been received without
	// delay; nil where that can't be done.
	acknowledge func()
	// reads counts the Reads that gave something.
	reads atomic.Uint64
	// failed is set before the protocol hears of the end of the connection.
	failed atomic.Bool
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
	}
	if err != nil {
		t.failed.Store(true)
	}
	return n, err
}

// seen counts a Read that has given something.
func (t *transport) seen() {
	t.reads.Add(1)
	if t.acknowledge != nil {
		t.acknowledge()
	}
}
