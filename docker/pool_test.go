package docker_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/sshserver"
)

// warm opens a backend with a pool on a fake engine, and waits until it is full.
func warm(t *testing.T, e *fakeengine.Engine, pool docker.PoolConfig) *docker.Backend {
	t.Helper()
	b, err := docker.Open(t.Context(), docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
		},
		Pool: pool,
	}, "test", testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	b.Warm(t.Context())
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready == pool.Min })
	return b
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// loggedIn is a connection of a pool's backend, to its disconnect.
type loggedIn struct {
	t       *testing.T
	handler sshserver.NetworkConnectionHandler
	ssh     sshserver.SSHConnectionHandler
	once    sync.Once
}

func enter(t *testing.T, b *docker.Backend, id string) *loggedIn {
	t.Helper()
	handler, err := b.Handler(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, id)
	if err != nil {
		t.Fatal(err)
	}
	l := &loggedIn{t: t, handler: handler}
	t.Cleanup(l.leave)
	if l.ssh, err = handler.OnHandshakeSuccess("tester"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *loggedIn) leave() { l.once.Do(l.handler.OnDisconnect) }

func (l *loggedIn) run(command string) {
	l.t.Helper()
	session, err := l.ssh.OnSessionChannel(0, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer session.OnClose()
	var out lockedBuffer
	exit := make(chan sshserver.ExitStatus, 1)
	if err := session.OnExecRequest(1, command, strings.NewReader(""), &out, &out, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
		l.t.Fatal(err)
	}
	if status := <-exit; status.Code != 5 || out.String() != command+"\n" {
		l.t.Errorf("exit %+v, %q", status, out.String())
	}
}

// A login that finds a container makes no engine call; each container is used
// once, and replaced.
func TestPoolHit(t *testing.T) {
	e := newFakeWithAgent(t)
	b := warm(t, e, docker.PoolConfig{Min: 2, RefillRate: 1000})
	for i := range 5 {
		waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready == 2 })
		before := len(e.Calls())
		l := enter(t, b, fmt.Sprint("id", i))
		l.run("hello")
		// The pool makes another one, after a while; the login itself calls nobody.
		for _, call := range e.Calls()[before:] {
			if route := call.Method + " " + call.Route; route != "POST /containers/create" && route != "POST /containers/{id}/attach" && route != "POST /containers/{id}/start" {
				t.Errorf("the login made the call %s", route)
			}
		}
		l.leave()
		if s := b.PoolStats(); s.Hits != uint64(i+1) || s.Misses != 0 {
			t.Errorf("%+v after %d logins", s, i+1)
		}
	}
	waitFor(t, "what was used to be gone", func() bool { return len(e.Containers()) == 2 })
	if e.Count("POST /containers/create") < 7 {
		t.Errorf("%d containers were made for 5 logins and a pool of 2", e.Count("POST /containers/create"))
	}
	b.Close()
	nothingLeft(t, e)
}

// hearing is an echoAgent that tells its commands.
type hearing struct {
	echoAgent
	commands chan<- string
}

func (h hearing) Session(ctx context.Context, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	h.commands <- what.Command
	return h.echoAgent.Session(ctx, what, r)
}

// The login shell has been started once when a container is ready, so that it need
// not be read from the disk at the login.
func TestPoolRehearses(t *testing.T) {
	commands := make(chan string, 10)
	e := fakeWithAgent(t, fakeengine.Options{}, hearing{commands: commands}, func(*fakeengine.Process) {})
	warm(t, e, docker.PoolConfig{Min: 1})
	select {
	case got := <-commands:
		if got != ":" {
			t.Errorf("the command %q was run", got)
		}
	default:
		t.Error("nothing was run in the container that is ready")
	}
}

// A login that finds none gets one made for it at once, the pool grows with the
// demand, and nobody gets what another has.
func TestPoolMiss(t *testing.T) {
	e := newFakeWithAgent(t)
	b := warm(t, e, docker.PoolConfig{Min: 1, Max: 4, RefillRate: 1000})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			l := enter(t, b, fmt.Sprint("id", i))
			l.run(fmt.Sprint("login ", i))
		})
	}
	all.Wait()
	s := b.PoolStats()
	if s.Hits < 1 || s.Hits+s.Misses != 20 || s.Target != 4 {
		t.Errorf("%+v after 20 logins at once", s)
	}
	waitFor(t, "a pool of 4", func() bool { return b.PoolStats().Ready == 4 })
	if n := len(e.Containers()); n != 24 {
		t.Errorf("%d containers for 20 logins and a pool of 4", n)
	}
}

// A container that ends while it waits is noticed, and nobody gets it.
func TestPoolLosesContainers(t *testing.T) {
	e := newFakeWithAgent(t)
	b := warm(t, e, docker.PoolConfig{Min: 3, RefillRate: 1000})
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, id := range e.Containers() {
		if err := client.KillContainer(t.Context(), id, "SIGKILL"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the loss to be noticed", func() bool { return b.PoolStats().Lost == 3 })
	enter(t, b, "after").run("hello")
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready >= 3 })
}

// An engine that fails is tried again, in growing pauses, and logins say so
// themselves.
func TestPoolFaults(t *testing.T) {
	e := newFakeWithAgent(t)
	e.Order(fakeengine.Fault{Route: "POST /containers/{id}/start", Nth: 1, Status: 400, Message: "no"})
	e.Order(fakeengine.Fault{Route: "POST /containers/{id}/attach", Nth: 3, Status: 400, Message: "no"})
	b := warm(t, e, docker.PoolConfig{Min: 2, RefillRate: 1000})
	b.Close()
	nothingLeft(t, e)
}

// A container that has waited for long is replaced.
func TestPoolAge(t *testing.T) {
	e := newFakeWithAgent(t)
	b := warm(t, e, docker.PoolConfig{Min: 1, MaxAge: time.Millisecond, RefillRate: 1000})
	waitFor(t, "another container", func() bool { return e.Count("POST /containers/create") >= 4 })
	b.Close()
	nothingLeft(t, e)
}
