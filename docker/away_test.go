package docker_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/sshserver"
)

const away = "The container engine does not answer; try again later."

// A pool loses what it had when its engine goes, says once why there is nothing,
// and is full again when the engine has come back.
func TestPoolOutlivesItsEngine(t *testing.T) {
	e := newFakeWithAgent(t)
	config := agentConfig(e)
	config.Pool = docker.PoolConfig{Min: 2, RefillRate: 1000}.WithDefaults()
	config.Timeouts = docker.TimeoutConfig{ContainerStart: time.Second, ContainerStop: time.Second}
	var log lockedBuffer
	b, err := docker.Open(t.Context(), config, "test", loggerTo(&log), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Watch(t.Context())
	b.Warm(t.Context())
	full := func() bool { return b.PoolStats().Ready >= 2 }
	waitFor(t, "a full pool", full)
	const word = "the pool could not make a container"
	// On a busy machine the first may take longer than it may.
	failures := func() int { return strings.Count(log.String(), "level=ERROR msg=\""+word) }
	before := failures()
	e.Stop()
	waitFor(t, "the loss of the pool", func() bool { return b.PoolStats().Ready == 0 })
	if status, said := refusedLogin(t, b); status.Code != 255 || !strings.Contains(said, away) {
		t.Errorf("exit %+v, %q; want 255 and %q", status, said, away)
	}
	waitFor(t, "several attempts", func() bool { return strings.Count(log.String(), word) > 2 })
	e.Restart(t)
	waitFor(t, "a full pool", full)
	l := enter(t, b, "after")
	l.run("hello")
	l.leave()
	if n := failures() - before; n != 1 {
		t.Errorf("the log has %d errors about one failure of the engine's:\n%s", n, &log)
	}
	waitFor(t, "what was being made at the engine's end to be gone", func() bool { return len(e.Containers()) == b.PoolStats().Ready })
	b.Close()
	nothingLeft(t, e)
}

// An engine that answers nothing keeps nobody for longer than the time for it, and
// nothing of that goes on afterwards.
func TestFrozenEngine(t *testing.T) {
	for _, route := range []string{create, "POST /containers/{id}/attach", "POST /containers/{id}/start"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			e := newFakeWithAgent(t)
			config := agentConfig(e)
			config.Timeouts = docker.TimeoutConfig{ContainerStart: 3 * time.Second, ContainerStop: 3 * time.Second, HTTP: 2 * time.Second}
			b := openBackend(t, config, "test")
			b.Watch(t.Context())
			enter(t, b, "before").run("hello")
			e.Order(fakeengine.Fault{Route: route, Hold: true})
			e.Order(fakeengine.Fault{Route: "DELETE /containers/{id}", Hold: true})
			if status, said := refusedLogin(t, b); status.Code != 255 || !strings.Contains(said, away) {
				t.Errorf("exit %+v, %q; want 255 and %q", status, said, away)
			}
			e.Release()
			enter(t, b, "after").run("hello")
			// Two that are logged in, and nothing of what came too late.
			waitFor(t, "two containers", func() bool { return len(e.Containers()) == 2 })
		})
	}
}

// refusedLogin logs in where there is nothing to be had.
func refusedLogin(t *testing.T, b *docker.Backend) (status sshserver.ExitStatus, said string) {
	t.Helper()
	l := enter(t, b, "refused")
	defer l.leave()
	session, err := l.ssh.OnSessionChannel(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.OnClose()
	var stderr lockedBuffer
	exit := make(chan sshserver.ExitStatus, 1)
	if err := session.OnExecRequest(1, "x", strings.NewReader(""), io.Discard, &stderr, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
		t.Fatal(err)
	}
	return <-exit, stderr.String()
}

// A stream that breaks off, with an engine that goes on, is a lost session in every
// way, also if its program goes on; and nothing is left of it.
func TestLostStream(t *testing.T) {
	stays := make(chan struct{})
	plain := func(t *testing.T) *fakeengine.Engine {
		return fakeengine.New(t, fakeengine.Options{
			Images: map[string]fakeengine.Image{"guest": {}},
			Programs: map[string]fakeengine.Program{
				"idle": func(p *fakeengine.Process) int { <-p.Done; return 0 },
				"shell": func(p *fakeengine.Process) int {
					fmt.Fprintln(p.Stdout, "ready")
					select {
					case <-p.Done:
					case <-stays:
					}
					return 0
				},
			},
		})
	}
	defer close(stays)
	for _, c := range []struct {
		name   string
		engine func(*testing.T) *fakeengine.Engine
		config func(*fakeengine.Engine) docker.Config
	}{
		{"exec", plain, func(e *fakeengine.Engine) docker.Config { return fakeConfig(e, docker.ExecutionModeConnection) }},
		{"attach", plain, func(e *fakeengine.Engine) docker.Config { return fakeConfig(e, docker.ExecutionModeSession) }},
		{"agent", newFakeWithAgent, agentConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := c.engine(t)
			handler, err := docker.New(net.TCPAddr{}, t.Name(), c.config(e), testLogger(t), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			ssh, err := handler.OnHandshakeSuccess("tester")
			if err != nil {
				t.Fatal(err)
			}
			session, err := ssh.OnSessionChannel(0, nil)
			if err != nil {
				t.Fatal(err)
			}
			stdin, in := io.Pipe()
			defer in.CloseWithError(io.ErrClosedPipe)
			var stderr lockedBuffer
			begun := make(chan struct{})
			var once sync.Once
			stdout := writerFunc(func(p []byte) (int, error) { once.Do(func() { close(begun) }); return len(p), nil })
			exit := make(chan sshserver.ExitStatus, 1)
			if err := session.OnExecRequest(1, "x", stdin, stdout, &stderr, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
				t.Fatal(err)
			}
			if c.name == "agent" { // whose program says nothing before the end
				waitFor(t, "the program's start", func() bool { return session.OnSignal(2, "USR1") == nil })
			} else {
				<-begun
			}
			e.Cut()
			if got := <-exit; got.Code != 255 || !strings.Contains(stderr.String(), "The connection to the container was lost") {
				t.Errorf("exit %+v, %q; want 255 and a word about the loss", got, stderr.String())
			}
			session.OnClose()
			handler.OnDisconnect()
			nothingLeft(t, e)
		})
	}
}

// A program that was killed is not taken for a container that has ended, however
// slowly the engine says that this goes on.
func TestKilledInLivingContainer(t *testing.T) {
	e := fakeengine.New(t, fakeengine.Options{
		Images: map[string]fakeengine.Image{"guest": {}},
		Programs: map[string]fakeengine.Program{
			"idle":  func(p *fakeengine.Process) int { <-p.Done; return 0 },
			"shell": func(*fakeengine.Process) int { return 128 + 9 },
		},
	})
	e.Order(fakeengine.Fault{Route: "GET /containers/{id}/json", Delay: 300 * time.Millisecond})
	if status, _, stderr := login(t, fakeConfig(e, docker.ExecutionModeConnection), "killed", "x"); status.Code != 128+9 || stderr != "" {
		t.Errorf("exit %+v, stderr %q; want 137 and no word", status, stderr)
	}
	nothingLeft(t, e)
}
