//go:build unix

package sshserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/sshserver"
)

// far is the other end of what a handler has dialled: reads and writes of a test
// meet those of the server.
type far struct {
	net.Conn
	ended chan error // gets nil at a half-close, or why there is no end
}

func newFar() (handlers sshserver.Conn, tests *far) {
	a, b := net.Pipe()
	tests = &far{b, make(chan error, 4)}
	return &nearEnd{a, tests}, tests
}

type nearEnd struct {
	net.Conn
	far *far
}

func (n *nearEnd) CloseWrite() error { n.far.ended <- nil; return nil }
func (n *nearEnd) Close() error {
	select {
	case n.far.ended <- errors.New("closed"):
	default:
	}
	return n.Conn.Close()
}

// A connection that breaks is no end of what the client sends: nobody must take
// half an upload for a whole one.
func TestForwardBreaks(t *testing.T) {
	near, other := newFar()
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.dial = func(context.Context, sshserver.Address, sshserver.Address) (sshserver.Conn, error) { return near, nil }
	})
	raw, err := net.Dial("tcp", h.addr)
	must(t, err)
	conn, chans, reqs, err := ssh.NewClientConn(raw, h.addr, h.clientConfig())
	must(t, err)
	client := ssh.NewClient(conn, chans, reqs)
	c, err := client.Dial("tcp", "anywhere:1")
	must(t, err)
	go func() { _, _ = io.WriteString(c, "half of it") }()
	got := make([]byte, 10)
	_, err = io.ReadFull(other, got)
	must(t, err)
	_ = raw.Close()
	if err := <-other.ended; err == nil {
		t.Error("the other side has read an end")
	}
}

// An end that the client does mean is one.
func TestForwardHalfClose(t *testing.T) {
	near, other := newFar()
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.dial = func(_ context.Context, to, from sshserver.Address) (sshserver.Conn, error) {
			if to.Host != "somewhere" || to.Port != 7 || to.Network != "tcp" {
				return nil, errors.New("to another place")
			}
			return near, nil
		}
	})
	client := h.dial()
	c, err := client.Dial("tcp", "somewhere:7")
	must(t, err)
	must(t, c.(interface{ CloseWrite() error }).CloseWrite())
	if err := <-other.ended; err != nil {
		t.Errorf("a half-close came as: %v", err)
	}
	go func() { _, _ = io.WriteString(other, "answer"); _ = other.Close() }()
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The reason of a refusal reaches the client, and a panic of the handler ends
// one connection and not the server.
func TestForwardRefused(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.dial = func(_ context.Context, to, _ sshserver.Address) (sshserver.Conn, error) {
			switch to.Host {
			case "words":
				return nil, &sshserver.ChannelRejection{Reason: sshserver.Prohibited, Message: "words for the user"}
			case "panic":
				panic("in a handler")
			}
			return nil, errors.New("a secret")
		}
	})
	client := h.dial()
	for host, want := range map[string]string{"words": "words for the user", "other": "could not be made"} {
		if _, err := client.Dial("tcp", host+":1"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
	if _, err := client.Dial("tcp", "panic:1"); err == nil {
		t.Error("a panic was a success")
	}
	_, err := h.dial().Dial("tcp", "words:1")
	if err == nil || !strings.Contains(err.Error(), "words") {
		t.Errorf("after the panic: %v", err)
	}
}

func TestMaxForwards(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.MaxForwards = 2
		toy.hooks.dial = func(context.Context, sshserver.Address, sshserver.Address) (sshserver.Conn, error) {
			near, _ := newFar()
			return near, nil
		}
	})
	client := h.dial()
	var open []net.Conn
	for range 2 {
		c, err := client.Dial("tcp", "x:1")
		must(t, err)
		open = append(open, c)
	}
	if _, err := client.Dial("tcp", "x:1"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("the third: %v", err)
	}
	must(t, open[0].Close())
	waitFor(t, "a free place", func() bool {
		c, err := client.Dial("tcp", "x:1")
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Hazards 17 and 23: a listener that takes long holds up nobody but the requests
// behind it, and those are bounded.
func TestSlowListen(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.listen = func(ctx context.Context, _ sshserver.Address) (sshserver.Listener, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	client := h.dial()
	go func() { _, _ = client.Listen("tcp", "127.0.0.1:0") }()
	for range 40 { // more than the library's own queue holds
		_, _, err := client.SendRequest("hello@example.com", false, nil)
		must(t, err)
	}
	out, err := h.session(client).Output("echo still here")
	if string(out) != "still here\n" {
		t.Errorf("%q, %v", out, err)
	}
	for range 1000 {
		if _, _, err := client.SendRequest("hello@example.com", false, nil); err != nil {
			break
		}
	}
	_ = client.Wait() // it is cut
}

// Those that wait are bounded in bytes, too.
func TestLargeRequests(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.listen = func(ctx context.Context, _ sshserver.Address) (sshserver.Listener, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	client := h.dial()
	go func() { _, _ = client.Listen("tcp", "127.0.0.1:0") }()
	for range 50 {
		if _, _, err := client.SendRequest("hello@example.com", false, make([]byte, 100<<10)); err != nil {
			break
		}
	}
	_ = client.Wait() // it is cut
}

// here is a listener that says where it is, whatever it was asked for.
type here struct {
	at     sshserver.Address
	closed chan struct{}
}

func (h *here) Accept(ctx context.Context) (sshserver.Conn, sshserver.Address, error) {
	select {
	case <-h.closed:
	case <-ctx.Done():
	}
	return nil, sshserver.Address{}, io.EOF
}
func (h *here) Address() sshserver.Address { return h.at }
func (h *here) Close() error {
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
	return nil
}

// A container that lies about where it listens makes no listener that is not
// counted, and that nobody can cancel.
func TestListenersTwice(t *testing.T) {
	var made []*here
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.listen = func(_ context.Context, at sshserver.Address) (sshserver.Listener, error) {
			at.Port = 7000
			made = append(made, &here{at, make(chan struct{})})
			return made[len(made)-1], nil
		}
	})
	client := h.dial()
	listen := func() (ok bool) {
		ok, _, err := client.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
			Host string
			Port uint32
		}{"localhost", 0}))
		must(t, err)
		return ok
	}
	if !listen() || listen() {
		t.Error("not just the first one was made")
	}
	<-made[1].closed
}
