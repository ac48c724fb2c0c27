package docker_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
)

const create = "POST /containers/create"

// agentConfig is of containers with an injected agent.
func agentConfig(e *fakeengine.Engine) docker.Config {
	return docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
		},
	}
}

func openBackend(t *testing.T, config docker.Config, instance string) *docker.Backend {
	t.Helper()
	b, err := docker.Open(t.Context(), config, instance, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

// A container that an engine makes when its client has long left is removed as
// soon as the engine says so: nobody has to look for it.
func TestLateCreation(t *testing.T) {
	for _, c := range []struct {
		name   string
		engine func(*testing.T) *fakeengine.Engine
		config func(*fakeengine.Engine) docker.Config
	}{
		{"agent none", newFake, func(e *fakeengine.Engine) docker.Config { return fakeConfig(e, docker.ExecutionModeConnection) }},
		{"agent inject", newFakeWithAgent, agentConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := c.engine(t)
			e.Order(fakeengine.Fault{Route: create, Hold: true})
			config := c.config(e)
			config.Timeouts.HTTP = 10 * time.Millisecond // is for other calls
			handler, err := docker.New(net.TCPAddr{}, t.Name(), config, testLogger(t), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := handler.OnHandshakeSuccess("tester"); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the creation under way", func() bool { return e.Count(create) == 1 })
			gone := make(chan struct{})
			go func() {
				handler.OnDisconnect()
				close(gone)
			}()
			select {
			case <-gone:
				t.Error("the connection's end did not wait for the engine's answer")
			case <-time.After(50 * time.Millisecond): // no proof, and no harm
			}
			e.Release()
			<-gone
			nothingLeft(t, e)
			if n := e.Count("GET /containers/json"); n > 0 || e.Count(create) != 1 {
				t.Errorf("the engine was asked for a list %d times, and for %d containers", n, e.Count(create))
			}
		})
	}
}

// One that is made when not even its removal is waited for any more is the
// reaper's, also if that was in this very run; and what could not be removed in
// time, too.
func TestReaperFindsWhatWasGivenUp(t *testing.T) {
	t.Run("made too late", func(t *testing.T) {
		e := newFakeWithAgent(t)
		config := agentConfig(e)
		config.ReapInterval = 20 * time.Millisecond
		config.Timeouts.ContainerStop = 50 * time.Millisecond
		b := openBackend(t, config, "test")
		b.Watch(t.Context())
		e.Order(fakeengine.Fault{Route: create, Hold: true})
		handler, err := b.Handler(net.TCPAddr{}, "late")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := handler.OnHandshakeSuccess("tester"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the creation under way", func() bool { return e.Count(create) == 1 })
		handler.OnDisconnect()
		e.Release()
		waitFor(t, "the late container to come and go", func() bool {
			return e.Count("DELETE /containers/{id}") > 0 && len(e.Containers()) == 0
		})
	})
	t.Run("not removed in time", func(t *testing.T) {
		e := newFake(t)
		config := fakeConfig(e, docker.ExecutionModeConnection) // and its interval: the reaper comes when it is called
		config.Timeouts.ContainerStop = 50 * time.Millisecond
		b := openBackend(t, config, "test")
		b.Watch(t.Context())
		l := enter(t, b, "stuck")
		l.run("hello")
		for _, route := range []string{"POST /containers/{id}/stop", "DELETE /containers/{id}"} {
			e.Order(fakeengine.Fault{Route: route, Status: 500, Message: "device or resource busy"})
		}
		l.leave()
		if n := len(e.Containers()); n != 1 {
			t.Fatalf("%d containers", n)
		}
		if list := b.Containers(); len(list) > 0 {
			t.Errorf("%+v is said to be somebody's", list)
		}
		e.Repair()
		waitFor(t, "no container", func() bool { return len(e.Containers()) == 0 })
	})
}

// What an earlier run has left goes, what this one has stays, and what is
// another instance's is not touched.
func TestReap(t *testing.T) {
	e := newFakeWithAgent(t)
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	make := func(labels map[string]string) string {
		id, err := client.CreateContainer(t.Context(), engine.ContainerSpec{Config: &container.Config{Image: "guest", Labels: labels}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	earlier := make(map[string]string{"berth.instance": "this", "berth.run": "before", "berth.launch": "x",
		"containerssh_username": "foo", "containerssh_ip": "192.0.2.1", "containerssh_connection_id": "0123"})
	oldest := make(map[string]string{"berth.instance": "this"}) // as versions without runs did
	others := []string{make(map[string]string{"berth.instance": "that"}), make(nil)}

	config := agentConfig(e)
	config.Pool = docker.PoolConfig{Min: 1}.WithDefaults()
	b := openBackend(t, config, "this")
	b.Warm(t.Context())
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready == 1 })
	l := enter(t, b, "id")
	l.run("hello")
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready == 1 })
	if n := len(e.Containers()); n != 6 {
		t.Fatalf("%d containers, want 6", n)
	}

	list, err := b.Leftovers(t.Context())
	if err != nil || len(list) != 2 || len(e.Containers()) != 6 {
		t.Fatalf("%+v, %v; %d containers", list, err, len(e.Containers()))
	}
	i := slices.IndexFunc(list, func(l docker.Leftover) bool { return l.ID == earlier })
	if i < 0 || list[1-i].ID != oldest {
		t.Fatalf("%+v", list)
	}
	if l := list[i]; l.User != "foo" || l.Client != "192.0.2.1" || l.ConnectionID != "0123" || time.Since(l.Created) > time.Minute {
		t.Errorf("%+v", l)
	}
	removed, err := b.Reap(t.Context())
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	left := e.Containers()
	if len(left) != 4 || !slices.Contains(left, others[0]) || !slices.Contains(left, others[1]) {
		t.Errorf("%q is left", left)
	}
	l.run("again")

	// A program that embeds this and has no name has nothing to be found by: it
	// must not take everybody's for its own.
	nameless := openBackend(t, agentConfig(e), "")
	if removed, err := nameless.Reap(t.Context()); err != nil || len(removed) > 0 || len(e.Containers()) != 4 {
		t.Errorf("removed %+v, %v", removed, err)
	}
}

// One that can't be removed keeps the others from nothing.
func TestReapGoesOn(t *testing.T) {
	e := newFakeWithAgent(t)
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 3 {
		if _, err := client.CreateContainer(t.Context(), engine.ContainerSpec{
			Config: &container.Config{Image: "guest", Labels: map[string]string{"berth.instance": "this"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	b := openBackend(t, agentConfig(e), "this")
	e.Order(fakeengine.Fault{Route: "DELETE /containers/{id}", Nth: 1, Status: 400, Message: "not this one"})
	removed, err := b.Reap(t.Context())
	if err == nil || len(removed) != 2 || len(e.Containers()) != 1 {
		t.Errorf("removed %+v, %v; %d are left", removed, err, len(e.Containers()))
	}
}

// Whatever is being made, given out, and removed meanwhile: a reaper that never
// rests takes nothing from anybody.
func TestReaperTakesNothingFromAnybody(t *testing.T) {
	e := newFakeWithAgent(t)
	config := agentConfig(e)
	config.ReapInterval = time.Nanosecond
	config.Pool = docker.PoolConfig{Min: 2, RefillRate: 1000}.WithDefaults()
	b := openBackend(t, config, "test")
	b.Watch(t.Context())
	b.Warm(t.Context())
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 10 {
				l := enter(t, b, fmt.Sprint(worker, "-", i))
				l.run("hello")
				l.leave()
			}
		})
	}
	all.Wait()
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready >= 2 })
	if s := b.PoolStats(); s.Lost > 0 {
		t.Errorf("the pool has lost %d containers", s.Lost)
	}
	b.Close()
	nothingLeft(t, e)
}

// Volumes of this instance's other versions go when no container has them.
func TestReapVolumes(t *testing.T) {
	e := newFakeWithAgent(t)
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	b := openBackend(t, agentConfig(e), "this")
	l := enter(t, b, "id")
	l.run("hello") // makes this version's, and removes what is as old as the fake's
	l.leave()
	use := func(volume, instance string) (containerID string) {
		id, err := client.CreateContainer(t.Context(), engine.ContainerSpec{
			Config: &container.Config{Image: "guest"},
			Host: &container.HostConfig{Mounts: []mount.Mount{{
				Type: mount.TypeVolume, Source: volume, Target: "/x",
				VolumeOptions: &mount.VolumeOptions{Labels: map[string]string{"berth.instance": instance}},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	const old, used, others, other = "berth-agent-0123456789abcdef", "berth-agent-1123456789abcdef", "berth-agent-2123456789abcdef", "berth-agent-mine"
	for _, id := range []string{use(old, "this"), use(others, "that"), use(other, "this")} {
		if err := client.RemoveContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	defer func(id string) { _ = client.RemoveContainer(context.Background(), id) }(use(used, "this"))
	list, err := b.Leftovers(t.Context())
	if err != nil || len(list) != 1 || list[0].Volume != old {
		t.Errorf("%+v, %v", list, err)
	}
	removed, err := b.Reap(t.Context())
	if err != nil || len(removed) != 1 || removed[0].Volume != old {
		t.Errorf("removed %+v, %v", removed, err)
	}
	volumes, err := client.ListVolumes(t.Context(), "berth-agent-")
	if err != nil || len(volumes) != 4 {
		t.Errorf("%+v are left, %v", volumes, err)
	}
}
