//go:build unix

package sshserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/sshserver"
	"golang.org/x/crypto/ssh"
)

// Hazard 23: one slow handler stalls neither other channels nor the rest of the
// connection, however many requests wait for it.
func TestSlowHandlersStallNobodyElse(t *testing.T) {
	release := make(chan struct{})
	opened := make(chan struct{})
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.MaxEnvVariables = -1
		toy.hooks.open = func(id uint64) error {
			if id == 0 {
				close(opened)
				<-release
			}
			return nil
		}
		toy.hooks.request = func(s *toySession, what string) error {
			if s.id == 1 {
				<-release
			}
			return nil
		}
	})
	client := h.dial()
	var first sync.WaitGroup
	first.Go(func() {
		if s, err := client.NewSession(); err == nil {
			_ = s.Close()
		}
	})
	<-opened
	second := h.session(client)
	for i := range 200 { // more than the library queues
		_, err := second.SendRequest("env", false, append(text("N"), text(fmt.Sprint(i))...))
		must(t, err)
	}
	out, err := h.session(client).Output("echo third")
	must(t, err)
	equal(t, "third", string(out), "third\n")
	close(release)
	first.Wait()
	waitFor(t, "all requests in order", func() bool { return h.toy.count("env N=199") == 1 })
}

// A client that floods a channel with requests loses the channel, not the
// server its memory.
func TestFloodOfRequests(t *testing.T) {
	release := make(chan struct{})
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.request = func(*toySession, string) error { <-release; return nil }
	})
	client := h.dial()
	s := h.session(client)
	big := append(text("N"), text(strings.Repeat("x", 100000))...)
	for range 100 {
		if _, err := s.SendRequest("env", false, big); err != nil {
			break
		}
	}
	waitFor(t, "the refusal", func() bool { return strings.Contains(h.logs.String(), "its session is closed") })
	close(release)
	waitFor(t, "the close", func() bool { return h.toy.closes.Load() == 1 })
	_, err := h.session(client).Output("true")
	must(t, err)
}

func TestRequestsOfASession(t *testing.T) {
	h := newHouse(t, nil)
	client := h.dial()
	s := h.session(client)
	must(t, s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}))
	must(t, s.WindowChange(50, 132))
	ok, err := s.SendRequest("break", true, []byte{0, 0, 1, 0})
	must(t, err)
	equal(t, "break", ok, true)
	for kind, payload := range map[string][]byte{"keepalive@openssh.com": nil, "nonsense": {1}, "shell": {0}, "pty-req": nil, "signal": {0, 0, 0, 9, 'A'}} {
		ok, err := s.SendRequest(kind, true, payload)
		must(t, err)
		equal(t, kind, ok, false)
	}
	must(t, s.Start("exec sleep 1000"))
	// Only one program per channel.
	ok, err = s.SendRequest("exec", true, text("true"))
	must(t, err)
	equal(t, "second exec", ok, false)
	must(t, s.Signal(ssh.SIGUSR1))
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "USR1" || exit.Msg() == "" {
		t.Errorf("killed by USR1: %v", err)
	}
	all := strings.Join(h.toy.log(), "\n")
	for _, want := range []string{
		"pty xterm 80x24 640x192 modes=true", "window 132x50 1056x400", "break 256", "signal USR1",
		"unsupported keepalive@openssh.com", "unsupported nonsense",
		"malformed shell", "malformed pty-req", "malformed signal",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if _, _, err := client.OpenChannel("tun@openssh.com", nil); !strings.Contains(fmt.Sprint(err), "unknown channel type") {
		t.Errorf("unknown channel: %v", err)
	}
	ok, _, err = client.SendRequest("nonsense@example.com", true, nil)
	must(t, err)
	equal(t, "nonsense", ok, false)
	ok, _, err = client.SendRequest("keepalive@openssh.com", true, nil)
	must(t, err)
	equal(t, "keepalive", ok, true)
	waitFor(t, "the handler's word", func() bool {
		return h.toy.count("global nonsense@example.com") == 1 && h.toy.count("channel tun@openssh.com") == 1
	})
}

// A refused start leaves the channel open for another try, as psftp does when
// there is no sftp subsystem.
func TestRefusedStartCanBeFollowedByAnother(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.start = func(s *toySession, kind, what string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
			if kind == "subsystem" {
				return userError{words: "no such subsystem", cause: "x"}
			}
			return s.run(what, stdin, stdout, stderr, exit)
		}
	})
	s := h.session(h.dial())
	var stderr syncBuffer
	s.Stderr = &stderr
	if err := s.RequestSubsystem("sftp"); err == nil {
		t.Error("the subsystem was accepted")
	}
	must(t, s.Run("true"))
	equal(t, "stderr", stderr.String(), "no such subsystem\r\n")
}

// Standard input ends with io.EOF at the client's end of file, and with another
// error when the channel or the connection goes.
func TestEndOfStandardInput(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*testing.T, *ssh.Session, *ssh.Client, io.Closer)
		want error
	}{
		"end of file": {func(t *testing.T, _ *ssh.Session, _ *ssh.Client, stdin io.Closer) { must(t, stdin.Close()) }, nil},
		"close":       {func(t *testing.T, s *ssh.Session, _ *ssh.Client, _ io.Closer) { must(t, s.Close()) }, sshserver.ErrChannelClosed},
		"disconnect":  {func(t *testing.T, _ *ssh.Session, c *ssh.Client, _ io.Closer) { must(t, c.Close()) }, sshserver.ErrChannelClosed},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
				toy.hooks.start = func(_ *toySession, _, _ string, stdin io.Reader, _, _ io.Writer, _ func(sshserver.ExitStatus)) error {
					go func() {
						_, err := io.Copy(io.Discard, stdin)
						ended <- err
					}()
					return nil
				}
			})
			client := h.dial()
			s := h.session(client)
			stdin, err := s.StdinPipe()
			must(t, err)
			must(t, s.Start("x"))
			_, err = stdin.Write(make([]byte, 10000))
			must(t, err)
			c.end(t, s, client, stdin)
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Writes fail once the session has ended, and a second exit is ignored.
func TestAfterTheExit(t *testing.T) {
	wrote := make(chan error, 1)
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.start = func(_ *toySession, _, _ string, _ io.Reader, stdout, _ io.Writer, exit func(sshserver.ExitStatus)) error {
			exit(sshserver.ExitStatus{Code: 3})
			exit(sshserver.ExitStatus{Code: 4})
			go func() {
				for {
					if _, err := stdout.Write([]byte("late")); err != nil {
						wrote <- err
						return
					}
				}
			}()
			return nil
		}
	})
	var exit *ssh.ExitError
	if err := h.session(h.dial()).Run("x"); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("got %v", err)
	}
	if err := <-wrote; !errors.Is(err, sshserver.ErrChannelClosed) {
		t.Errorf("write: %v", err)
	}
}

// Each OnClose comes once, and OnDisconnect once and after them, however the
// client leaves.
func TestClosesComeBeforeTheDisconnect(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *ssh.Client, *net.TCPConn){
		"FIN":   func(t *testing.T, c *ssh.Client, _ *net.TCPConn) { must(t, c.Close()) },
		"reset": func(t *testing.T, _ *ssh.Client, tcp *net.TCPConn) { must(t, tcp.SetLinger(0)); must(t, tcp.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			var closes, early atomic.Int64
			h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
				toy.hooks.onClose = func(*toySession) { time.Sleep(10 * time.Millisecond); closes.Add(1) }
				toy.hooks.onDisc = func() {
					if closes.Load() != 3 {
						early.Add(1)
					}
				}
			})
			tcp, err := net.Dial("tcp", h.addr)
			must(t, err)
			conn, chans, reqs, err := ssh.NewClientConn(tcp, "", h.clientConfig())
			must(t, err)
			client := ssh.NewClient(conn, chans, reqs)
			defer client.Close()
			for range 3 {
				s := h.session(client)
				must(t, s.Start("sleep 1000"))
			}
			leave(t, client, tcp.(*net.TCPConn))
			waitFor(t, "the disconnect", func() bool { return h.toy.disconnects.Load() == 1 })
			equal(t, "closes", closes.Load(), 3)
			equal(t, "early disconnects", early.Load(), 0)
		})
	}
}

// Hazard 11: nothing a client makes a handler do may end the server.
func TestPanicsEndTheConnectionOnly(t *testing.T) {
	boom := func(string) error { panic("boom") }
	for name, set := range map[string]func(*toyHooks){
		"network": func(h *toyHooks) { h.network = func(net.TCPAddr, string) error { panic("boom") } },
		"auth": func(h *toyHooks) {
			h.pubKey = func(string, string) (sshserver.AuthResponse, error) { panic("boom") }
		},
		"login":   func(h *toyHooks) { h.login = boom },
		"open":    func(h *toyHooks) { h.open = func(uint64) error { panic("boom") } },
		"request": func(h *toyHooks) { h.request = func(*toySession, string) error { panic("boom") } },
		"start": func(h *toyHooks) {
			h.start = func(*toySession, string, string, io.Reader, io.Writer, io.Writer, func(sshserver.ExitStatus)) error {
				panic("boom")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(_ *sshserver.Server, toy *toy) { set(&toy.hooks) })
			for range 2 {
				client, err := ssh.Dial("tcp", h.addr, h.clientConfig())
				if err != nil {
					continue
				}
				if s, err := client.NewSession(); err == nil {
					_ = s.Setenv("A", "b")
					if err := s.Run("true"); err == nil {
						t.Error("the session succeeded")
					}
				}
				_ = client.Wait()
			}
			waitFor(t, "two panics in the log", func() bool { return strings.Count(h.logs.String(), "panic in a handler") >= 2 })
			if !strings.Contains(h.logs.String(), "toy_test.go") && !strings.Contains(h.logs.String(), "lifecycle_test.go") {
				t.Error("no stack in the log")
			}
		})
	}
}

// Hazard 14: a client that vanishes without a FIN is noticed. The proxy plays
// the network that swallows everything.
func TestKeepAliveCutsVanishedClients(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) {
		s.KeepAliveInterval = 10 * time.Millisecond
		s.KeepAliveCountMax = 100
	})
	proxy := newProxy(t, h.addr)
	tcp, err := net.Dial("tcp", proxy.addr)
	must(t, err)
	conn, channels, requests, err := ssh.NewClientConn(tcp, "", h.clientConfig())
	must(t, err)
	none := make(chan *ssh.Request) // this test answers them
	close(none)
	client := ssh.NewClient(conn, channels, none)
	defer client.Close()
	s := h.session(client)
	must(t, s.Start("sleep 1000"))
	// A client that is there stays, however silent its user: it answers, here
	// more often than would be borne in silence.
	for range 150 {
		req := <-requests
		equal(t, "request", req.Type, "keepalive@openssh.com")
		must(t, req.Reply(false, nil))
	}
	equal(t, "disconnects", h.toy.disconnects.Load(), 0)
	proxy.freeze()
	waitFor(t, "the cut", func() bool { return h.toy.disconnects.Load() == 1 })
	if !strings.Contains(h.logs.String(), "vanished") {
		t.Error("no word in the log")
	}
}

// The same when the server is in the middle of sending: the keepalive is then
// stuck behind the output.
func TestKeepAliveCutsVanishedReaders(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) {
		s.KeepAliveInterval = 20 * time.Millisecond
		s.KeepAliveCountMax = 3
	})
	proxy := newProxy(t, h.addr)
	client, err := ssh.Dial("tcp", proxy.addr, h.clientConfig())
	must(t, err)
	defer client.Close()
	s := h.session(client)
	s.Stdout = io.Discard
	must(t, s.Start("cat /dev/zero"))
	proxy.freeze()
	waitFor(t, "the cut", func() bool { return h.toy.disconnects.Load() == 1 })
}

// Hazard 23: the handshake has a deadline, the session after it has none.
func TestHandshakeDeadline(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.HandshakeTimeout = 2 * time.Second })
	silent, err := net.Dial("tcp", h.addr)
	must(t, err)
	defer silent.Close()
	client := h.dial()
	_, err = io.Copy(io.Discard, silent) // ends when the server closes
	must(t, err)
	waitFor(t, "the handler's word", func() bool { return h.toy.count("handshake failed") == 1 })
	if !strings.Contains(h.logs.String(), "no login within 2s") {
		t.Errorf("log:\n%s", h.logs)
	}
	out, err := h.session(client).Output("sleep 0.3; echo on")
	must(t, err)
	equal(t, "after the deadline", string(out), "on\n")
}

func TestMaxConnections(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxConnections = 2 })
	a, _ := h.dial(), h.dial()
	if _, err := ssh.Dial("tcp", h.addr, h.clientConfig()); err == nil {
		t.Error("a third connection was accepted")
	}
	if !strings.Contains(h.logs.String(), "too many connections") {
		t.Error("no word in the log")
	}
	must(t, a.Close())
	waitFor(t, "room", func() bool { return h.toy.disconnects.Load() == 1 })
	waitFor(t, "a connection", func() bool {
		c, err := ssh.Dial("tcp", h.addr, h.clientConfig())
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Hazard 27.
func TestMaxChannels(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxChannels = 2 })
	client := h.dial()
	a, _ := h.session(client), h.session(client)
	_, err := client.NewSession()
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage {
		t.Errorf("a third session: %v", err)
	}
	must(t, a.Run("true"))
	waitFor(t, "room", func() bool { return h.toy.closes.Load() == 1 })
	waitFor(t, "a session", func() bool { _, err := client.NewSession(); return err == nil })
}

// Hazard 22.
func TestShutdownLetsProgramsEnd(t *testing.T) {
	h := newHouse(t, nil)
	busy, idle := h.dial(), h.dial()
	half, err := net.Dial("tcp", h.addr) // still in the handshake
	must(t, err)
	defer half.Close()
	s := h.session(busy)
	stdout, err := s.StdoutPipe()
	must(t, err)
	must(t, s.Start("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"))
	_, err = io.ReadFull(stdout, make([]byte, 6))
	must(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, h.server.Shutdown(ctx))
	_ = idle.Wait()
	rest, err := io.ReadAll(stdout)
	must(t, err)
	equal(t, "output", string(rest), "bye\n")
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 {
		t.Errorf("exit: %v", err)
	}
	equal(t, "disconnects", h.toy.disconnects.Load(), h.toy.connections.Load())
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("a connection after the shutdown")
	}
	if err := h.server.ListenAndServe(); !errors.Is(err, sshserver.ErrServerClosed) {
		t.Errorf("a second life: %v", err)
	}
}

// A drain takes no more, and asks nobody to end: it waits for the last session, and
// if that goes on, leaves the rest to Shutdown.
func TestDrain(t *testing.T) {
	told := make(chan time.Time, 2)
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.onDrain = func(until time.Time) { told <- until }
	})
	busy, idle := h.dial(), h.dial()
	s := h.session(busy)
	stdin, err := s.StdinPipe()
	must(t, err)
	must(t, s.Start("cat; exit 6"))

	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("enough"))
	until, _ := ctx.Deadline()
	result := make(chan error, 1)
	go func() { result <- h.server.Drain(ctx) }()
	_ = idle.Wait()
	// The idle one may be gone before it could be told.
	if got := <-told; !got.Equal(until) {
		t.Errorf("the end is said to be at %v, and is at %v", got, until)
	}
	if _, err := busy.NewSession(); !strings.Contains(fmt.Sprint(err), "shutting down") {
		t.Errorf("a new session: %v", err)
	}
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("a new connection")
	}
	equal(t, "requests to end", h.toy.count("shutdown"), 0)
	must(t, stdin.Close())
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 6 {
		t.Errorf("exit: %v", err)
	}
	must(t, <-result)
	cancel()
	must(t, h.server.Shutdown(ctx)) // there is nothing left to cut
	equal(t, "disconnects", h.toy.disconnects.Load(), h.toy.connections.Load())
	equal(t, "requests to end", h.toy.count("shutdown"), 0)
}

func TestDrainThatTakesTooLong(t *testing.T) {
	h := newHouse(t, nil)
	s := h.session(h.dial())
	stdout, err := s.StdoutPipe()
	must(t, err)
	must(t, s.Start("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"))
	_, err = io.ReadFull(stdout, make([]byte, 6))
	must(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error, 1)
	go func() { result <- h.server.Drain(ctx) }()
	waitFor(t, "OnDrain", func() bool { return h.toy.count("drain") == 1 })
	cause := errors.New("enough")
	cancel(cause)
	if err := <-result; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	// Nobody has been cut, or asked.
	equal(t, "disconnects", h.toy.disconnects.Load(), 0)
	ending, cancelEnding := context.WithTimeout(context.Background(), patience)
	defer cancelEnding()
	must(t, h.server.Shutdown(ending))
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 {
		t.Errorf("exit: %v", err)
	}
}

func TestShutdownCutsAtTheDeadline(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.onStop = func(ctx context.Context) { <-ctx.Done() }
	})
	client := h.dial()
	must(t, h.session(client).Start("sleep 1000"))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error, 1)
	go func() { result <- h.server.Shutdown(ctx) }()
	waitFor(t, "OnShutdown", func() bool { return h.toy.count("shutdown") == 1 })
	// New sessions are refused meanwhile.
	if _, err := client.NewSession(); !strings.Contains(fmt.Sprint(err), "shutting down") {
		t.Errorf("a new session: %v", err)
	}
	cancel(cause)
	if err := <-result; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	equal(t, "disconnects", h.toy.disconnects.Load(), 1)
}

// An OnDisconnect that hangs does not hang the shutdown.
func TestShutdownIsBounded(t *testing.T) {
	release := make(chan struct{})
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.DisconnectTimeout = 10 * time.Millisecond
		toy.hooks.onDisc = func() { <-release }
	})
	h.dial()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := h.server.Shutdown(ctx)
	close(release)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connections had not finished") {
		t.Errorf("got %v", err)
	}
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
}

func TestClose(t *testing.T) {
	h := newHouse(t, nil)
	client := h.dial()
	must(t, h.session(client).Start("sleep 1000"))
	must(t, h.server.Close())
	_ = client.Wait()
	waitFor(t, "the disconnect", func() bool { return h.toy.disconnects.Load() == 1 })
}

// flakyListener runs out of file descriptors a few times.
type flakyListener struct {
	net.Listener
	failures atomic.Int64
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	flaky := &flakyListener{Listener: l}
	flaky.failures.Store(3)
	h := newHouseOn(t, flaky, nil)
	_, err = h.session(h.dial()).Output("true")
	must(t, err)
}

// proxy forwards TCP until it is frozen; then it keeps its connections and
// moves nothing.
type proxy struct {
	addr   string
	frozen chan struct{}
	once   sync.Once
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: l.Addr().String(), frozen: make(chan struct{})}
	var all sync.WaitGroup
	var conns []net.Conn
	over := make(chan struct{})
	all.Go(func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			return
		}
		conns = append(conns, in, out)
		forward := func(to, from net.Conn) {
			buf := make([]byte, 4096)
			for {
				n, err := from.Read(buf)
				select {
				case <-p.frozen:
					<-over
					return
				default:
				}
				if err != nil {
					_ = to.Close()
					return
				}
				_, _ = to.Write(buf[:n])
			}
		}
		all.Go(func() { forward(in, out) })
		all.Go(func() { forward(out, in) })
	})
	t.Cleanup(func() {
		close(over)
		_ = l.Close()
		p.freeze()
		for _, c := range conns {
			_ = c.Close()
		}
		all.Wait()
	})
	return p
}

func (p *proxy) freeze() { p.once.Do(func() { close(p.frozen) }) }
