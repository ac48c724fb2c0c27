package agentproto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guest is an agent whose programs are functions.
type guest struct {
	program func(ctx context.Context, what Start, r *Running) (Exit, bool)
}

func (g guest) Session(ctx context.Context, what Start, r *Running) (Exit, bool) {
	return g.program(ctx, what, r)
}

func (guest) Dial(ctx context.Context, _ string, to Address) (Duplex, error) {
	if to.Network != "tcp" {
		return nil, &Refusal{ReasonProhibited, "only tcp here"}
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

func (guest) Listen(_ context.Context, _ string, at Address) (ServerListener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(at.Host, fmt.Sprint(at.Port)))
	if err != nil {
		return nil, err
	}
	return tcpListener{l.(*net.TCPListener)}, nil
}

type tcpListener struct{ *net.TCPListener }

func tcpAddress(a net.Addr) Address {
	t := a.(*net.TCPAddr)
	return Address{Network: "tcp", Host: t.IP.String(), Port: uint32(t.Port)}
}

func (l tcpListener) At() Address { return tcpAddress(l.Addr()) }
func (l tcpListener) Accept() (Duplex, Address, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, Address{}, err
	}
	return c, tcpAddress(c.RemoteAddr()), nil
}

// echo copies its input to both outputs and exits with 7.
func echo(_ context.Context, _ Start, r *Running) (Exit, bool) {
	if r.Started(42) != nil {
		return Exit{}, false
	}
	outputs := []io.Writer{r.Stdout}
	if r.Stderr != nil {
		outputs = append(outputs, r.Stderr)
	}
	_, err := io.Copy(io.MultiWriter(outputs...), r.Stdin)
	return Exit{Code: 7}, err == nil
}

// connect joins a client and a guest for one test.
func connect(t *testing.T, program func(context.Context, Start, *Running) (Exit, bool)) *Client {
	t.Helper()
	here, there := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = Serve(t.Context(), there, guest{program})
	}()
	c, err := Connect(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		<-served
	})
	return c
}

func start(t *testing.T, c *Client, what Start) *Session {
	t.Helper()
	s, err := c.Start(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Hazards 2 and 3: all output, byte-exact, comes before the exit.
func TestSession(t *testing.T) {
	for _, size := range []int{0, 1, 4 << 10, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := start(t, connect(t, echo), Start{Kind: KindExec, Command: "x"})
			sent := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			go func() {
				if _, err := s.Write(sent); err != nil {
					t.Error(err)
				}
				_ = s.CloseWrite()
			}()
			var stdout, stderr []byte
			var both sync.WaitGroup
			both.Go(func() { stdout, _ = io.ReadAll(s.Stdout()) })
			both.Go(func() { stderr, _ = io.ReadAll(s.Stderr()) })
			both.Wait()
			if !bytes.Equal(stdout, sent) || !bytes.Equal(stderr, sent) {
				t.Errorf("%d bytes sent; %d and %d came back, or others", size, len(stdout), len(stderr))
			}
			if exit, err := s.Wait(t.Context()); err != nil || exit.Code != 7 || s.PID != 42 {
				t.Errorf("exit %+v, error %v, pid %d", exit, err, s.PID)
			}
		})
	}
}

// What the server says reaches the agent as it was said.
func TestStartIsWhole(t *testing.T) {
	got := make(chan Start, 1)
	c := connect(t, func(_ context.Context, what Start, r *Running) (Exit, bool) {
		got <- what
		r.Refuse(ReasonNotFound, "no such shell")
		return Exit{}, false
	})
	want := Start{
		Kind: KindArgv, Command: "a\xff\x00\n", Argv: []string{"", "b"}, Shell: []string{"/bin/sh", "-l"}, User: "u", Dir: "/d",
		Env: []string{"A=b", "C="}, Terminal: &Terminal{"xterm", Size{80, 24, 640, 480}, "\x00\x01"},
	}
	_, err := c.Start(t.Context(), want)
	var refused *Refusal
	if !errors.As(err, &refused) || *refused != (Refusal{ReasonNotFound, "no such shell"}) {
		t.Errorf("error %v", err)
	}
	what := <-got
	what.stdin, what.stdout, what.stderr = 0, 0, 0
	if !reflect.DeepEqual(what, want) {
		t.Errorf("got %+v, want %+v", what, want)
	}
}

func TestResizesAndSignals(t *testing.T) {
	s := start(t, connect(t, func(ctx context.Context, _ Start, r *Running) (Exit, bool) {
		_ = r.Started(1)
		size := <-r.Resizes
		name := <-r.Signals
		_, _ = fmt.Fprint(r.Stdout, size, name)
		return Exit{Signal: name, Core: true}, true
	}), Start{Terminal: &Terminal{}})
	if err := errors.Join(s.Resize(t.Context(), Size{1, 2, 3, 4}), s.Signal(t.Context(), "USR1")); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(s.Stdout())
	exit, err := s.Wait(t.Context())
	if string(out) != "{1 2 3 4}USR1" || err != nil || exit != (Exit{Signal: "USR1", Core: true}) {
		t.Errorf("output %q, exit %+v, error %v", out, exit, err)
	}
}

// A program that takes no more input makes writes fail as a closed pipe does.
func TestClosedInput(t *testing.T) {
	s := start(t, connect(t, func(ctx context.Context, _ Start, r *Running) (Exit, bool) {
		_ = r.Started(1)
		_ = r.Stdin.Close()
		<-ctx.Done()
		return Exit{}, false
	}), Start{})
	for {
		if _, err := s.Write(make([]byte, 1<<20)); err != nil {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("error %v", err)
			}
			return
		}
	}
}

// A session that the server gives up ends the agent's context for it, and no
// other.
func TestGiveUp(t *testing.T) {
	ended := make(chan string, 2)
	c := connect(t, func(ctx context.Context, what Start, r *Running) (Exit, bool) {
		_ = r.Started(1)
		<-ctx.Done()
		ended <- what.Command
		return Exit{}, false
	})
	one, two := start(t, c, Start{Command: "one"}), start(t, c, Start{Command: "two"})
	_ = one.Close()
	if got := <-ended; got != "one" {
		t.Errorf("%s has ended", got)
	}
	if _, err := two.Wait(canceled(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("the other session: %v", err)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// Hazard 20: a session whose output nobody reads stalls no other.
func TestIndependentSessions(t *testing.T) {
	c := connect(t, echo)
	stalled := start(t, c, Start{})
	go func() { _, _ = stalled.Write(make([]byte, 8<<20)) }()
	for range 20 {
		s := start(t, c, Start{Terminal: &Terminal{}})
		_, _ = s.Write([]byte("hello"))
		_ = s.CloseWrite()
		if out, _ := io.ReadAll(s.Stdout()); string(out) != "hello" {
			t.Fatalf("output %q", out)
		}
	}
}

// A stream that ends without an exit is a lost session, whatever it looks like.
func TestLost(t *testing.T) {
	t.Run("the connection ends", func(t *testing.T) {
		c := connect(t, func(ctx context.Context, _ Start, r *Running) (Exit, bool) {
			_ = r.Started(1)
			<-ctx.Done()
			return Exit{}, false
		})
		s := start(t, c, Start{})
		_ = c.Close()
		_, readErr := io.ReadAll(s.Stdout())
		if _, err := s.Wait(t.Context()); !errors.Is(err, ErrLost) || !errors.Is(readErr, ErrLost) {
			t.Errorf("exit: %v, output: %v; want both lost", err, readErr)
		}
		if _, err := c.Start(t.Context(), Start{}); !errors.Is(err, ErrLost) {
			t.Errorf("another session: %v", err)
		}
	})
	t.Run("no word on the end", func(t *testing.T) {
		s := start(t, connect(t, func(_ context.Context, _ Start, r *Running) (Exit, bool) {
			_ = r.Started(1)
			return Exit{}, false
		}), Start{})
		_, _ = io.ReadAll(s.Stdout())
		if exit, err := s.Wait(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("exit %+v, error %v", exit, err)
		}
	})
}

// Hazard 26: connections inside the container, both ways, half-closed.
func TestForwarding(t *testing.T) {
	c := connect(t, echo)
	l, err := c.Listen(t.Context(), "", Address{Network: "tcp", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if l.At.Port == 0 {
		t.Fatal("listens on port 0")
	}
	if _, err := c.Listen(t.Context(), "", l.At); err == nil {
		t.Error("two listeners on one port")
	}
	dialled, err := c.Dial(t.Context(), "", l.At)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := strings.Repeat("x", 1<<20)
	for _, way := range []struct{ from, to *Conn }{{dialled, accepted}, {accepted, dialled}} {
		go func() {
			_, _ = io.WriteString(way.from, sent)
			_ = way.from.CloseWrite()
		}()
		if got, err := io.ReadAll(way.to); err != nil || string(got) != sent {
			t.Errorf("%d bytes of %d, error %v", len(got), len(sent), err)
		}
	}
	_ = l.Close()
	if _, err := l.Accept(t.Context()); err != io.EOF {
		t.Errorf("accept on a closed listener: %v", err)
	}
	// The listener inside is closed by a message, which takes its time.
	for {
		conn, err := c.Dial(t.Context(), "", l.At)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	var refused *Refusal
	if _, err := c.Dial(t.Context(), "", Address{Network: "unix", Path: "/x"}); !errors.As(err, &refused) || refused.Reason != ReasonProhibited {
		t.Errorf("prohibited: %v", err)
	}
}

func TestGreeting(t *testing.T) {
	for _, c := range []struct {
		name string
		said string
		want string
	}{
		{"text", "OCI runtime exec failed: no such file", `says "OCI runtime exec failed: no such file"`},
		{"nothing", "", "without a word"},
		{"newer", "\x00BERTH\x00\x02\x00\x05", "versions 2 to 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				_, _ = io.ReadFull(there, make([]byte, 10))
				_, _ = io.WriteString(there, c.said)
				_ = there.Close()
			}()
			_, err := Connect(t.Context(), here)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		go func() { _, _ = io.ReadFull(there, make([]byte, 10)) }()
		if _, err := Connect(ctx, here); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// What has been closed can be listened at again.
func TestListenAgain(t *testing.T) {
	c := connect(t, echo)
	l, err := c.Listen(t.Context(), "", Address{Network: "tcp", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		at := l.At
		_ = l.Close()
		if l, err = c.Listen(t.Context(), "", at); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.Close()
}

// What the far side has said before it broke off is delivered, as by sshd: one
// that refuses an upload says why, and closes with the rest of it unread.
func TestEarlyAnswer(t *testing.T) {
	c := connect(t, echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// No more than what the kernel hands over at once: the rest is lost with the
	// reset before it is sent.
	answer := bytes.Repeat([]byte("no"), 20_000)
	for range 20 {
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			far, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.ReadFull(far, make([]byte, 1000))
			_, _ = far.Write(answer)
			_ = far.Close()
		}()
		conn, err := c.Dial(t.Context(), "", tcpAddress(l.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = conn.Write(make([]byte, 4<<20))
		}()
		<-refused
		got, err := io.ReadAll(conn)
		if !bytes.Equal(got, answer) || err != nil {
			t.Errorf("%d bytes of %d, error %v", len(got), len(answer), err)
		}
		<-sent
		_ = conn.Close()
	}
}
