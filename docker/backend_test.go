package docker_test

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/fakeengine"
)

// Who comes after a change gets what it says, from the pool too; who has come before
// has what there was then.
func TestReconfigure(t *testing.T) {
	var mu sync.Mutex
	made := map[bool]int{} // containers, by whether they are new ones
	e := fakeWithAgent(t, fakeengine.Options{}, echoAgent{}, func(p *fakeengine.Process) {
		mu.Lock()
		defer mu.Unlock()
		made[slices.Contains(p.Env, "NEW=1")]++
	})
	count := func(isNew bool) int {
		mu.Lock()
		defer mu.Unlock()
		return made[isNew]
	}
	b := warm(t, e, docker.PoolConfig{Min: 2, Max: 2, RefillRate: 1000})
	before := enter(t, b, "before")
	before.run("old here")
	waitFor(t, "a full pool", func() bool { return b.PoolStats().Ready == 2 })
	early, err := b.Handler(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, "early")
	if err != nil {
		t.Fatal(err)
	}

	config := docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{Launch: docker.LaunchConfig{
			ContainerConfig: &container.Config{Image: "guest", Env: []string{"NEW=1"}},
		}},
		Pool: docker.PoolConfig{Min: 1, Max: 1},
	}
	for _, wrong := range []func(*docker.Config){
		func(c *docker.Config) { c.Connection.Host += "x" },
		func(c *docker.Config) { c.Pool.Max = -1 },
	} {
		changed := config
		wrong(&changed)
		if err := b.Reconfigure(t.Context(), changed); err == nil {
			t.Errorf("%+v was taken", changed)
		}
	}
	if s := b.PoolStats(); s.Ready != 2 || s.Hits != 1 || count(true) > 0 {
		t.Errorf("%+v and %d new containers after changes that were refused", s, count(true))
	}

	if err := b.Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the pool of the new configuration", func() bool { return b.PoolStats().Ready == 1 && len(e.Containers()) == 2 })
	before.run("still there")
	enter(t, b, "after").run("new here")
	if s := b.PoolStats(); s.Hits != 2 || s.Misses != 0 {
		t.Errorf("%+v after a login before the change and one after it", s)
	}
	if old := count(false); old != 3 || count(true) == 0 {
		t.Errorf("%d containers were made of the old configuration, and %d of the new one", old, count(true))
	}
	late := &loggedIn{t: t, handler: early}
	t.Cleanup(late.leave)
	if late.ssh, err = early.OnHandshakeSuccess("tester"); err != nil {
		t.Fatal(err)
	}
	late.run("late")
	if old := count(false); old != 4 {
		t.Errorf("who came before the change, and has logged in after it, has got none of the old containers: %d", old)
	}

	// Without a pool, and with one again.
	config.Pool = docker.PoolConfig{}
	if err := b.Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "no pool", func() bool { return len(e.Containers()) == 3 })
	if s := b.PoolStats(); s != (docker.PoolStats{}) {
		t.Errorf("%+v without a pool", s)
	}
	config.Pool = docker.PoolConfig{Min: 1}
	if err := b.Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a pool again", func() bool { return b.PoolStats().Ready == 1 })
}
