package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/sshserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a provider, its workloads and their executions, with faults to order.
// A program echoes its input, and ends with it.
type fake struct {
	provision func(ctx context.Context, l Launch) error // may be nil
	start     func(ctx context.Context) error           // may be nil
	signal    func(ctx context.Context) error           // may be nil

	mu       sync.Mutex
	made     int
	removed  int
	sizes    []Size
	programs []Program
	signals  []string
	closed   int
}

func (f *fake) Accept(p Program) (Program, error) {
	if p.Kind == KindSubsystem {
		return p, &Error{Code: "NO", User: "no subsystems"}
	}
	return p, nil
}

func (f *fake) Provision(ctx context.Context, l Launch) (Workload, error) {
	if f.provision != nil {
		if err := f.provision(ctx, l); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	return fakeWorkload{f}, nil
}

type fakeWorkload struct{ f *fake }

func (w fakeWorkload) Close(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err // hazard 15: removal has a context of its own
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.removed++
	return nil
}

func (w fakeWorkload) Start(ctx context.Context, p Program, s Streams) (Execution, error) {
	if w.f.start != nil {
		if err := w.f.start(ctx); err != nil {
			return nil, err
		}
	}
	w.f.mu.Lock()
	w.f.programs = append(w.f.programs, p)
	if p.Terminal != nil {
		w.f.sizes = append(w.f.sizes, p.Terminal.Size)
	}
	w.f.mu.Unlock()
	e := &fakeExecution{f: w.f, done: make(chan struct{})}
	go func() { _, _ = io.Copy(s.Stdout, s.Stdin); close(e.done) }()
	return e, nil
}

type fakeExecution struct {
	f    *fake
	done chan struct{}
}

func (e *fakeExecution) Resize(_ context.Context, size Size) error {
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	e.f.sizes = append(e.f.sizes, size)
	return nil
}

func (e *fakeExecution) Signal(ctx context.Context, name string) error {
	e.f.mu.Lock()
	e.f.signals = append(e.f.signals, name)
	e.f.mu.Unlock()
	if e.f.signal != nil {
		return e.f.signal(ctx)
	}
	return nil
}
func (e *fakeExecution) Break(context.Context) error { return nil }

func (e *fakeExecution) Wait(ctx context.Context) (sshserver.ExitStatus, error) {
	select {
	case <-e.done:
		return sshserver.ExitStatus{Code: 7}, nil
	case <-ctx.Done():
		return sshserver.ExitStatus{}, context.Cause(ctx)
	}
}

func (e *fakeExecution) Close(context.Context) error {
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	e.f.closed++
	return nil
}

// client drives one session of one connection.
type client struct {
	connection *Connection
	session    sshserver.SessionChannelHandler
	stdin      *io.PipeWriter
	in         io.Reader
	out, err   screen
	exit       chan sshserver.ExitStatus
}

func newClient(t *testing.T, f *fake, mode Mode) *client {
	t.Helper()
	c := &client{exit: make(chan sshserver.ExitStatus, 1)}
	c.connection = NewConnection(net.TCPAddr{}, "id", Options{
		Provider: f, Mode: mode, CodePrefix: "TEST_", Logger: slog.New(slog.DiscardHandler),
	})
	ssh, err := c.connection.OnHandshakeSuccess("user")
	if err != nil {
		t.Fatal(err)
	}
	c.session, err = ssh.OnSessionChannel(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.stdin = io.Pipe()
	return c
}

func (c *client) shell() error {
	return c.session.OnShell(1, c.in, &c.out, &c.err, func(s sshserver.ExitStatus) { c.exit <- s })
}

func (c *client) disconnect() {
	_ = c.stdin.CloseWithError(io.ErrClosedPipe)
	c.session.OnClose()
	c.connection.OnDisconnect()
}

func TestSession(t *testing.T) {
	for _, mode := range []Mode{ModeConnection, ModeSession} {
		f := &fake{}
		c := newClient(t, f, mode)
		if err := c.shell(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c.stdin, "hello")
		_ = c.stdin.Close()
		if got := <-c.exit; got.Code != 7 || c.out.String() != "hello" {
			t.Errorf("%s: exit %+v, output %q", mode, got, c.out.String())
		}
		c.disconnect()
		if f.made != 1 || f.removed != 1 || f.closed != 1 {
			t.Errorf("%s: made %d, removed %d, closed %d; want one each", mode, f.made, f.removed, f.closed)
		}
	}
}

// What a forward could not get is no word on what a later session gets, nor on a
// later forward.
func TestForwardFirst(t *testing.T) {
	fails := true
	f := &fake{provision: func(context.Context, Launch) error {
		if fails {
			return errors.New("not now")
		}
		return nil
	}}
	c := newClient(t, f, ModeSession)
	c.connection.options.Forwarding = true
	dial := func() error {
		_, err := c.connection.OnDial(t.Context(), 1, sshserver.Address{}, sshserver.Address{})
		return err
	}
	if err := dial(); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("error %v", err)
	}
	fails = false
	if err := dial(); err == nil || !strings.Contains(err.Error(), "forwards nothing") {
		t.Errorf("the second forward: error %v", err)
	}
	fails = true
	_ = c.stdin.Close()
	if err := c.shell(); err != nil {
		t.Fatal(err)
	}
	if got := <-c.exit; got.Code != 7 {
		t.Errorf("exit %+v, stderr %q", got, c.err.String())
	}
	c.disconnect()
	if f.made != 1 || f.removed != 1 {
		t.Errorf("made %d, removed %d; want one each", f.made, f.removed)
	}
}

// Hazard 16: every failure reaches the user in words, and ends the session with
// a code that is no program's.
func TestFailures(t *testing.T) {
	words := &Error{Code: "TEST_X", User: "Words for the user.", Err: errors.New("secret detail")}
	program := &Error{Code: "TEST_Y", User: "No such program.", Exit: 127}
	for _, mode := range []Mode{ModeConnection, ModeSession} {
		for name, c := range map[string]struct {
			f    *fake
			want string
			code uint32
		}{
			"provision": {&fake{provision: func(context.Context, Launch) error { return words }}, words.User, 255},
			"start":     {&fake{start: func(context.Context) error { return fmt.Errorf("wrapped: %w", words) }}, words.User, 255},
			"program":   {&fake{start: func(context.Context) error { return program }}, program.User, 127},
			"no words":  {&fake{start: func(context.Context) error { return errors.New("secret detail") }}, "The session has failed.", 255},
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				client := newClient(t, c.f, mode)
				defer client.disconnect()
				if err := client.shell(); err != nil {
					t.Fatal(err)
				}
				if got := <-client.exit; got.Code != c.code {
					t.Errorf("exit %+v, want %d", got, c.code)
				}
				said := client.err.String()
				if !strings.Contains(said, c.want) || strings.Contains(said, "secret") || strings.Count(said, "\n") != 1 {
					t.Errorf("the user reads %q, want one line with %q", said, c.want)
				}
			})
		}
	}
}

// Hazards 14 and 17: a client that leaves while its container is being made is
// not waited for, and what is made all the same is removed.
func TestClientLeavesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{provision: func(ctx context.Context, _ Launch) error {
			<-ctx.Done()
			return nil // too late to stop: a workload is there
		}}
		c := newClient(t, f, ModeConnection)
		if err := c.shell(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.disconnect()
		if f.made != f.removed {
			t.Errorf("%d workloads made, %d removed", f.made, f.removed)
		}
	})
}

// Window changes that come while a program is being started are not lost, and
// a burst of them costs no more than the last.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := make(chan struct{})
		f := &fake{start: func(context.Context) error { <-started; return nil }}
		c := newClient(t, f, ModeConnection)
		if err := c.session.OnPtyRequest(1, "xterm", 80, 24, 0, 0, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.shell(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := uint32(1); i <= 100; i++ {
			if err := c.session.OnWindow(2, 100+i, 50, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		close(started)
		synctest.Wait()
		f.mu.Lock()
		if last := f.sizes[len(f.sizes)-1]; last.Columns != 200 || len(f.sizes) > 2 {
			t.Errorf("sizes %v, want 200 columns at last", f.sizes)
		}
		f.mu.Unlock()
		c.disconnect()
	})
}

// Hazard 17: a signal that is not answered ends with its time.
func TestSignalTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{signal: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		c := newClient(t, f, ModeConnection)
		if err := c.shell(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begin := time.Now()
		if err := c.session.OnSignal(2, "TERM"); err == nil {
			t.Error("a signal that got no answer was reported as delivered")
		}
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("waited for %v, want a minute", waited)
		}
		c.disconnect()
	})
}

// A signal that comes while a program is starting reaches it, and so does a
// shutdown: its first output may be faster than the word that it runs.
func TestSignalWhileStarting(t *testing.T) {
	for _, mode := range []Mode{ModeConnection, ModeSession} {
		synctest.Test(t, func(t *testing.T) {
			started, signals := make(chan struct{}), make(chan struct{}, 2)
			f := &fake{
				start:  func(context.Context) error { <-started; return nil },
				signal: func(context.Context) error { signals <- struct{}{}; return nil },
			}
			c := newClient(t, f, mode)
			if err := c.shell(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			go c.connection.OnShutdown(t.Context())
			signalled := make(chan error, 1)
			go func() { signalled <- c.session.OnSignal(2, "USR1") }()
			synctest.Wait()
			if len(signals) > 0 {
				t.Error("a signal came before the program")
			}
			close(started)
			synctest.Wait()
			if err := <-signalled; err != nil || len(signals) != 2 {
				t.Errorf("%s: %v, %d signals of 2 came", mode, err, len(signals))
			}
			c.disconnect()
		})
	}
}

// Codes of what the session itself refuses.
func TestRefusals(t *testing.T) {
	c := newClient(t, &fake{}, ModeConnection)
	defer c.disconnect()
	if err := c.session.OnSignal(1, "TERM"); Code(err) != "TEST_PROGRAM_NOT_RUNNING" {
		t.Errorf("signal: %v", err)
	}
	if err := c.session.OnSubsystem(1, "sftp", c.in, &c.out, &c.err, nil); Code(err) != "NO" {
		t.Errorf("subsystem: %v", err)
	}
	if err := c.session.OnPtyRequest(1, "bad term", 1, 1, 0, 0, nil); err == nil {
		t.Error("a terminal type with a space was accepted")
	}
	if err := c.shell(); err != nil {
		t.Fatal(err)
	}
	if err := c.shell(); Code(err) != "TEST_PROGRAM_ALREADY_RUNNING" {
		t.Errorf("second shell: %v", err)
	}
	if err := c.session.OnEnvRequest(1, "A", "b"); Code(err) != "TEST_PROGRAM_ALREADY_RUNNING" {
		t.Errorf("env: %v", err)
	}
}

// Hazard 28, and the limits on what a client may pile up.
func TestEnvLimits(t *testing.T) {
	var env []EnvVar
	var err error
	for i := range MaxEnvVars {
		if env, err = setEnv(env, fmt.Sprintf("V%d", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := setEnv(env, "ONE_MORE", "x"); err == nil {
		t.Errorf("more than %d variables were accepted", MaxEnvVars)
	}
	if _, err := setEnv(env, "V0", "again"); err != nil {
		t.Errorf("a variable can't be set again: %v", err)
	}
	if _, err := setEnv(nil, "BIG", string(bytes.Repeat([]byte("x"), MaxEnvBytes))); err == nil {
		t.Error("too large a value was accepted")
	}
}

func FuzzValidEnv(f *testing.F) {
	f.Add("PATH", "/bin")
	f.Add("A=B", "c")
	f.Add("LD_PRELOAD", "x")
	f.Add("A\n", "\x00")
	f.Fuzz(func(t *testing.T, name, value string) {
		if ValidEnv(name, value) != nil {
			return
		}
		if name == "" || strings.ContainsAny(name, "=\x00\n \t") || strings.HasPrefix(name, "LD_") || strings.Contains(value, "\x00") {
			t.Errorf("%q=%q was accepted", name, value)
		}
	})
}
