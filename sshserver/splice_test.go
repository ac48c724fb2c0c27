package sshserver

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// endedChannel is one whose client has sent an end of file, and may never close
// it.
type endedChannel struct{ ssh.Channel }

func (endedChannel) Read([]byte) (int, error) { return 0, io.EOF }
func (endedChannel) CloseWrite() error        { return nil }
func (endedChannel) Close() error             { return nil }

// endedConn is the far side, which has ended.
type endedConn struct{ closed chan struct{} }

func (c endedConn) Read([]byte) (int, error)    { return 0, io.EOF }
func (c endedConn) Write(p []byte) (int, error) { return len(p), nil }
func (c endedConn) CloseWrite() error           { return nil }
func (c endedConn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

// A forwarded connection that the client does not close stays open in the
// protocol, and goes on to count: otherwise a client could have any number.
func TestForwardThatIsNotClosed(t *testing.T) { synctest.Test(t, testForwardThatIsNotClosed) }

func testForwardThatIsNotClosed(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	settings, err := (&Server{Handler: struct{ Handler }{}, HostKeys: []ssh.Signer{testKey(t)}}).settings()
	if err != nil {
		t.Fatal(err)
	}
	c := newConnection(near, nil, settings, &tally{})
	defer c.cut()
	requests := make(chan *ssh.Request)
	conn := endedConn{make(chan struct{})}
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.splice(endedChannel{}, requests, conn)
	}()
	synctest.Wait() // all that is to be done has been
	<-conn.closed
	select {
	case <-over:
		t.Error("it counts no more")
	default:
	}
	close(requests) // the client closes it
	<-over
}

func testKey(t testing.TB) ssh.Signer {
	t.Helper()
	text, err := GenerateHostKey(HostKeyED25519)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseHostKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// silent is a connection of the library's that waits for an answer for ever.
type silent struct {
	ssh.Conn
	asked chan struct{}
	ended chan struct{}
}

func (s silent) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	close(s.asked)
	<-s.ended
	return nil, nil, io.EOF
}

// A channel that the library never hears of again holds up no connection's end.
func TestUnansweredOpen(t *testing.T) {
	conn := silent{asked: make(chan struct{}), ended: make(chan struct{})}
	defer close(conn.ended)
	ctx, cancel := context.WithCancel(t.Context())
	c := &connection{ctx: ctx, conn: &ssh.ServerConn{Conn: conn}, net: &transport{}}
	go func() {
		<-conn.asked
		cancel()
	}()
	if _, _, err := c.open("forwarded-tcpip", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("opened with %v", err)
	}
	// The library is not asked, which conn would panic over a second time.
	c.net.failed.Store(true)
	if _, _, err := c.open("forwarded-tcpip", nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("opened with %v after the end", err)
	}
}
