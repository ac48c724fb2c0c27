package docker

import (
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
)

// testProvider is a provider of an engine of its own.
func testProvider(t *testing.T, e *fakeengine.Engine, execution ExecutionConfig) *provider {
	t.Helper()
	config, err := complete(Config{Connection: ConnectionConfig{Host: e.Host()}, Execution: execution})
	if err != nil {
		t.Fatal(err)
	}
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &provider{config: config, engine: client, log: slog.New(slog.DiscardHandler), instance: "this server"}
}

var testLogin = backend.Login{ConnectionID: "0123", Username: "a\xffb", Client: net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}

// What every container has, whatever is configured.
func TestContainerSpec(t *testing.T) {
	p := testProvider(t, fakeengine.New(t, fakeengine.Options{}), ExecutionConfig{
		Launch: LaunchConfig{ContainerConfig: &container.Config{Image: "guest", Labels: map[string]string{"mine": "1"}}},
		Agent:  AgentNone, IdleCommand: []string{"idle"},
	})
	spec, err := p.spec(t.Context(), backend.Launch{Login: testLogin}, "launch", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"containerssh_connection_id": "0123", "containerssh_ip": "192.0.2.1", "containerssh_username": "a\uFFFDb",
		"berth.instance": "this server", "berth.launch": "launch", "mine": "1",
	} {
		if got := spec.Config.Labels[name]; got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	if !spec.Host.AutoRemove {
		t.Error("the container would outlive its program if this server were gone")
	}
	if !slices.Equal(spec.Config.Entrypoint, []string{"idle"}) || len(spec.Config.Cmd) > 0 {
		t.Errorf("runs %q %q, want the idle command only", spec.Config.Entrypoint, spec.Config.Cmd)
	}
	if n := len(p.config.Execution.Launch.ContainerConfig.Labels); n != 1 {
		t.Errorf("the configuration has got %d labels", n)
	}
}

// Volumes without a name are made last: see namelessLast.
func TestNamelessLast(t *testing.T) {
	configured := &container.HostConfig{
		Binds: []string{"/alone", "/source:/bound"},
		Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Target: "/nameless"},
			{Type: mount.TypeTmpfs, Target: "/memory"},
			{Type: mount.TypeVolume, Target: "/another"},
			{Type: mount.TypeVolume, Source: "name", Target: "/named"},
		},
	}
	p := testProvider(t, fakeengine.New(t, fakeengine.Options{}), ExecutionConfig{
		Launch: LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}, HostConfig: configured},
	})
	for range 2 { // the first one leaves the configuration as it was
		spec, err := p.spec(t.Context(), backend.Launch{Login: testLogin}, "launch", nil)
		if err != nil {
			t.Fatal(err)
		}
		var targets []string
		for _, m := range spec.Host.Mounts {
			targets = append(targets, m.Target)
		}
		if want := []string{"/memory", "/named", "/.berth", "/nameless", "/another"}; !slices.Equal(targets, want) {
			t.Errorf("mounts at %q, want %q", targets, want)
		}
		if _, ok := spec.Config.Volumes["/alone"]; !ok || len(spec.Config.Volumes) != 1 || !slices.Equal(spec.Host.Binds, []string{"/source:/bound"}) {
			t.Errorf("volumes %v, binds %q", spec.Config.Volumes, spec.Host.Binds)
		}
	}
}

// Hazard 32: a stream that carries a session is not copied to the engine's
// disk, unless that is configured. And a program must not be process 1, on
// which signals have no effect.
func TestSessionContainerSpec(t *testing.T) {
	no := false
	launch := backend.Launch{Login: testLogin, Program: &backend.Program{Kind: backend.KindExec, Command: "x"}}
	for _, c := range []struct {
		name       string
		configured *container.HostConfig
		driver     string
		init       bool
	}{
		{"as it comes", nil, "none", true},
		{"configured", &container.HostConfig{LogConfig: container.LogConfig{Type: "local"}, Init: &no}, "local", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProvider(t, fakeengine.New(t, fakeengine.Options{}), ExecutionConfig{
				Launch: LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}, HostConfig: c.configured},
				Mode:   ExecutionModeSession, Agent: AgentNone,
			})
			spec, err := p.spec(t.Context(), launch, "launch", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := spec.Host.LogConfig.Type; got != c.driver {
				t.Errorf("log driver %q, want %q", got, c.driver)
			}
			if spec.Host.Init == nil || *spec.Host.Init != c.init {
				t.Errorf("init %v, want %v", spec.Host.Init, c.init)
			}
		})
	}
}
