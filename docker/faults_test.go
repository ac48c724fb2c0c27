package docker_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/sshserver"
)

// fakeConfig uses a fake engine whose "idle" idles and whose "shell -c WORDS"
// prints the words.
func fakeConfig(e *fakeengine.Engine, mode docker.ExecutionMode) docker.Config {
	return docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch:       docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
			Mode:         mode,
			Agent:        docker.AgentNone,
			IdleCommand:  []string{"idle"},
			ShellCommand: []string{"shell"},
		},
	}
}

func newFake(t *testing.T) *fakeengine.Engine { return newFakeLike(t, fakeengine.Options{}) }

func newFakeLike(t *testing.T, o fakeengine.Options) *fakeengine.Engine {
	return fakeengine.New(t, fakeengine.Options{
		APIVersion: o.APIVersion, Podman: o.Podman,
		Images: map[string]fakeengine.Image{"guest": {}},
		Programs: map[string]fakeengine.Program{
			"idle": func(p *fakeengine.Process) int {
				select {
				case <-p.Done:
				case <-p.Signals:
				}
				return 0
			},
			"shell": func(p *fakeengine.Process) int {
				fmt.Fprintln(p.Stdout, p.Args[len(p.Args)-1])
				_, _ = io.Copy(io.Discard, p.Stdin)
				return 5
			},
		},
	})
}

var modes = []docker.ExecutionMode{docker.ExecutionModeConnection, docker.ExecutionModeSession}

// What a login costs: each engine call is there for a reason, and a further one
// would be seen here.
func TestEngineCalls(t *testing.T) {
	for _, c := range []struct {
		mode docker.ExecutionMode
		want []string
	}{
		{docker.ExecutionModeConnection, []string{
			"POST /containers/create", "POST /containers/{id}/start",
			"POST /containers/{id}/exec", "POST /exec/{id}/start", "GET /exec/{id}/json",
			"POST /containers/{id}/stop", "DELETE /containers/{id}",
		}},
		{docker.ExecutionModeSession, []string{
			"POST /containers/create", "POST /containers/{id}/attach", "POST /containers/{id}/wait",
			"POST /containers/{id}/start", "DELETE /containers/{id}",
		}},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			e := newFake(t)
			status, stdout, stderr := login(t, fakeConfig(e, c.mode), t.Name(), "hello")
			if status.Code != 5 || stdout != "hello\n" || stderr != "" {
				t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
			}
			for _, route := range c.want {
				if n := e.Count(route); n != 1 && route != "GET /exec/{id}/json" && route != "DELETE /containers/{id}" {
					t.Errorf("%s was called %d times", route, n)
				}
			}
			wanted := strings.Join(c.want, "\n") + "\nGET /_ping\nHEAD /_ping\nGET /version\nGET /info" // once for an engine
			for _, call := range e.Calls() {
				if route := call.Method + " " + call.Route; !strings.Contains(wanted, route) {
					t.Errorf("%s was called, which no login needs", route)
				}
			}
			nothingLeft(t, e)
		})
	}
}

func nothingLeft(t *testing.T, e *fakeengine.Engine) {
	t.Helper()
	if left := e.Containers(); len(left) > 0 || e.Running() > 0 {
		t.Errorf("containers %v and %d programs are left", left, e.Running())
	}
}

// Hazards 14, 15 and 16: whatever fails on the way, the user is told and
// nothing is left.
func TestProvisioningFaults(t *testing.T) {
	const start = "POST /containers/{id}/start"
	for _, c := range []struct {
		name   string
		fault  fakeengine.Fault
		words  string
		passes bool // a fault that is over at the second try
	}{
		{"create refused", fakeengine.Fault{Route: create, Status: 400, Message: "invalid mount"}, "could not be created", false},
		{"create fails once", fakeengine.Fault{Route: create, Nth: 1, Status: 500, Message: "busy"}, "", true},
		{"create fails always", fakeengine.Fault{Route: create, Status: 500, Message: "busy"}, "could not be created", false},
		{"answer to create lost once", fakeengine.Fault{Route: create, Nth: 1, CloseConnection: true, Performed: true}, "", true},
		{"half an answer to create", fakeengine.Fault{Route: create, Nth: 1, HalfAnswer: true}, "", true},
		{"create is slow", fakeengine.Fault{Route: create, Nth: 1, Delay: 1500 * time.Millisecond}, "", true},
		{"start refused", fakeengine.Fault{Route: start, Status: 400, Message: "no"}, "could not be started", false},
		{"start fails once", fakeengine.Fault{Route: start, Nth: 1, Status: 500, Message: "busy"}, "", true},
		{"start hangs", fakeengine.Fault{Route: start, Hang: true}, "could not be started", false},
	} {
		for _, mode := range modes {
			t.Run(string(mode)+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				e := newFake(t)
				e.Order(c.fault)
				cfg := fakeConfig(e, mode)
				cfg.Timeouts.ContainerStart = 2 * time.Second
				cfg.Timeouts.HTTP = time.Second
				status, stdout, stderr := login(t, cfg, t.Name(), "hello")
				if c.passes {
					if status.Code != 5 || stdout != "hello\n" {
						t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
					}
				} else {
					if status.Code != 255 || !strings.Contains(stderr, docker.UserMessageInitializeSSHSession) ||
						!strings.Contains(stderr, c.words) {
						t.Errorf("exit %+v, stderr %q; want 255 and %q", status, stderr, c.words)
					}
				}
				nothingLeft(t, e)
			})
		}
	}
}

// Hazard 33: an engine that goes away takes its programs along, and the users
// are told.
func TestEngineStops(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			e := newFake(t)
			cfg := fakeConfig(e, mode)
			cfg.Timeouts.HTTP = time.Second
			cfg.Timeouts.ContainerStop = 2 * time.Second
			handler, err := docker.New(net.TCPAddr{}, t.Name(), cfg, testLogger(t), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer handler.OnDisconnect()
			ssh, err := handler.OnHandshakeSuccess("tester")
			if err != nil {
				t.Fatal(err)
			}
			session, err := ssh.OnSessionChannel(0, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer session.OnClose()
			stdin, in := io.Pipe()
			defer in.CloseWithError(io.ErrClosedPipe)
			var stderr lockedBuffer
			ready := make(chan struct{})
			var once sync.Once
			stdout := writerFunc(func(p []byte) (int, error) { once.Do(func() { close(ready) }); return len(p), nil })
			exit := make(chan sshserver.ExitStatus, 1)
			if err := session.OnExecRequest(1, "hello", stdin, stdout, &stderr, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
				t.Fatal(err)
			}
			<-ready
			e.Stop()
			if got := <-exit; got.Code != 255 || !strings.Contains(stderr.String(), "lost") {
				t.Errorf("exit %+v, stderr %q; want 255 and a word about the loss", got, stderr.String())
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Hazard 18: connections share one client of the engine, which asks it for its
// version once, and nothing is left of 200 connections.
func TestConnectionsShareClient(t *testing.T) {
	e := newFake(t)
	cfg := fakeConfig(e, docker.ExecutionModeConnection)
	engine.CloseIdle()
	running := goleak.IgnoreCurrent()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				if status, stdout, _ := login(t, cfg, fmt.Sprint(worker, "-", i), "hello"); status.Code != 5 || stdout != "hello\n" {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of 200 logins have failed", n)
	}
	if n := e.Count("GET /version"); n != 1 {
		t.Errorf("the engine was asked for its version %d times", n)
	}
	nothingLeft(t, e)
	engine.CloseIdle()
	if err := goleak.Find(running); err != nil {
		t.Error(err)
	}
}

// Each creation whose answer was lost may have made a container.
func TestLostAnswers(t *testing.T) {
	e := newFake(t)
	for n := range 3 {
		e.Order(fakeengine.Fault{Route: "POST /containers/create", Nth: n + 1, CloseConnection: true, Performed: true})
	}
	status, stdout, stderr := login(t, fakeConfig(e, docker.ExecutionModeConnection), t.Name(), "hello")
	if status.Code != 5 || stdout != "hello\n" {
		t.Errorf("exit %+v, stderr %q", status, stderr)
	}
	nothingLeft(t, e)
}

// Docker lists a container before it can be removed: then it answers that there
// is none, and there is one all the same.
func TestListedTooEarly(t *testing.T) {
	e := newFake(t)
	e.Order(fakeengine.Fault{Route: "POST /containers/create", Nth: 1, CloseConnection: true, Performed: true})
	e.Order(fakeengine.Fault{Route: "DELETE /containers/{id}", Nth: 1, Status: 404, Message: "No such container: x"})
	status, stdout, stderr := login(t, fakeConfig(e, docker.ExecutionModeConnection), t.Name(), "hello")
	if status.Code != 5 || stdout != "hello\n" {
		t.Errorf("exit %+v, stderr %q", status, stderr)
	}
	nothingLeft(t, e)
}

// A container that could not be started is gone when that is tried again; the log
// says why it could not be, all the same.
func TestStartedInVain(t *testing.T) {
	e := newFake(t)
	e.Order(fakeengine.Fault{Route: "POST /containers/{id}/start", Nth: 1, Status: 500, Message: "the bridge is down"})
	e.Order(fakeengine.Fault{Route: "POST /containers/{id}/start", Nth: 2, Status: 404, Message: "No such container: x"})
	var log bytes.Buffer
	handler, err := docker.New(net.TCPAddr{}, t.Name(), fakeConfig(e, docker.ExecutionModeConnection),
		slog.New(slog.NewTextHandler(&log, nil)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runAs(t, "tester", handler, "hello"); status.Code != 255 || !strings.Contains(stderr, "The container could not be started") {
		t.Errorf("exit %+v, stderr %q", status, stderr)
	}
	if !strings.Contains(log.String(), "the bridge is down") {
		t.Errorf("the log does not say why:\n%s", &log)
	}
	nothingLeft(t, e)
}

// Hazard 17: a connection whose engine call hangs holds up no other.
func TestSlowCallBlocksNobody(t *testing.T) {
	e := newFake(t)
	e.Order(fakeengine.Fault{Route: "POST /containers/create", Nth: 1, Hold: true})
	cfg := fakeConfig(e, docker.ExecutionModeConnection)
	slow, err := docker.New(net.TCPAddr{}, "slow", cfg, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.OnHandshakeSuccess("tester"); err != nil {
		t.Fatal(err)
	}
	for e.Count("POST /containers/create") == 0 {
		time.Sleep(time.Millisecond)
	}
	if status, _, stderr := login(t, cfg, "quick", "hello"); status.Code != 5 {
		t.Errorf("exit %+v, stderr %q", status, stderr)
	}
	e.Release()
	slow.OnDisconnect()
	nothingLeft(t, e)
}

// Hazard 29: engines of all ages, and Podman, give the same login.
func TestEngineVersions(t *testing.T) {
	for _, o := range []fakeengine.Options{
		{APIVersion: "1.40"}, {APIVersion: "1.41"}, {APIVersion: "1.42"}, {APIVersion: "1.51"},
		{APIVersion: "1.41", Podman: true},
	} {
		for _, mode := range modes {
			t.Run(fmt.Sprint(o.APIVersion, o.Podman, mode), func(t *testing.T) {
				e := newFakeLike(t, o)
				status, stdout, stderr := login(t, fakeConfig(e, mode), t.Name(), "hello")
				if status.Code != 5 || stdout != "hello\n" || stderr != "" {
					t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
				}
				nothingLeft(t, e)
			})
		}
	}
	t.Run("too old", func(t *testing.T) {
		e := newFakeLike(t, fakeengine.Options{APIVersion: "1.39"})
		status, _, stderr := login(t, fakeConfig(e, docker.ExecutionModeConnection), t.Name(), "hello")
		if status.Code != 255 || !strings.Contains(stderr, docker.UserMessageInitializeSSHSession) {
			t.Errorf("exit %+v, stderr %q", status, stderr)
		}
	})
}

type counter struct{ n atomic.Int64 }

func (c *counter) Inc() { c.n.Add(1) }

// The counters count engine calls, and those that failed.
func TestCounters(t *testing.T) {
	e := newFake(t)
	e.Order(fakeengine.Fault{Route: "POST /containers/create", Nth: 1, Status: 500, Message: "busy"})
	var requests, failures counter
	handler, err := docker.New(net.TCPAddr{}, t.Name(), fakeConfig(e, docker.ExecutionModeConnection), nil, &requests, &failures)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handler.OnHandshakeSuccess("tester"); err != nil {
		t.Fatal(err)
	}
	for e.Running() == 0 {
		time.Sleep(time.Millisecond)
	}
	handler.OnDisconnect()
	if requests.n.Load() < 4 || failures.n.Load() != 1 {
		t.Errorf("%d requests and %d failures, want several and one", requests.n.Load(), failures.n.Load())
	}
}

// Hazard 8: the first size of a terminal, which an engine takes only after the
// start, comes before all others, however long it takes.
func TestFirstSizeComesFirst(t *testing.T) {
	sizes := make(chan string, 16)
	e := fakeengine.New(t, fakeengine.Options{
		APIVersion: "1.41",
		Images:     map[string]fakeengine.Image{"guest": {}},
		Programs: map[string]fakeengine.Program{
			"idle": func(p *fakeengine.Process) int { <-p.Done; return 0 },
			"shell": func(p *fakeengine.Process) int {
				for range 2 {
					select {
					case <-p.Resized:
						columns, rows := p.Size()
						sizes <- fmt.Sprint(columns, "x", rows)
					case <-p.Done:
					}
				}
				return 0
			},
		},
	})
	e.Order(fakeengine.Fault{Route: "POST /exec/{id}/resize", Nth: 1, Delay: 300 * time.Millisecond})
	handler, err := docker.New(net.TCPAddr{}, t.Name(), fakeConfig(e, docker.ExecutionModeConnection), testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer handler.OnDisconnect()
	ssh, err := handler.OnHandshakeSuccess("tester")
	if err != nil {
		t.Fatal(err)
	}
	session, err := ssh.OnSessionChannel(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.OnClose()
	if err := session.OnPtyRequest(1, "xterm", 80, 24, 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	exit := make(chan sshserver.ExitStatus, 1)
	in, keep := io.Pipe()
	defer keep.Close()
	if err := session.OnShell(2, in, io.Discard, io.Discard, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first size under way", func() bool { return e.Count("POST /exec/{id}/resize") == 1 })
	if err := session.OnWindow(3, 132, 43, 0, 0); err != nil {
		t.Fatal(err)
	}
	<-exit
	if first, second := <-sizes, <-sizes; first != "80x24" || second != "132x43" {
		t.Errorf("sizes %s and %s, want 80x24 and then 132x43", first, second)
	}
}
