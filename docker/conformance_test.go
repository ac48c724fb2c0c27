package docker_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/backend/backendtest"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testpodman"
	"github.com/berth-ssh/berth/sshserver"
)

// config runs programs of an image in one of the ways. The guest is busybox'.
func config(image string, mode docker.ExecutionMode, agent docker.AgentMode) docker.Config {
	c := docker.Config{
		Connection: docker.ConnectionConfig{Host: testguest.EngineHost()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{
				Image:           image,
				Labels:          map[string]string{testguest.Label: "1"},
				NetworkDisabled: true,
			}},
			Mode:            mode,
			Agent:           agent,
			ShellCommand:    []string{"/bin/sh"},
			Subsystems:      map[string]string{"echo": "/bin/cat"},
			ImagePullPolicy: docker.ImagePullPolicyNever,
		},
	}
	if agent == docker.AgentNone {
		c.Execution.IdleCommand = []string{"/bin/sleep", "1000000"}
	}
	return c
}

// Every way in every mode does what a user of SSH counts on, on a real engine; the
// injected agent over the engine's stream and over a socket.
func TestConformance(t *testing.T) {
	guest := testguest.WithAgent(t, testguest.Busybox(t))
	for _, mode := range []docker.ExecutionMode{docker.ExecutionModeConnection, docker.ExecutionModeSession} {
		for _, agent := range []docker.AgentMode{docker.AgentNone, docker.AgentImage, docker.AgentInject} {
			c := config(guest, mode, agent)
			target := backendtest.Target{
				Connect: func(client net.TCPAddr, id string) (sshserver.NetworkConnectionHandler, error) {
					return docker.New(client, id, c, testLogger(t), nil, nil)
				},
				Mode: backend.Mode(mode),
				// In session mode the engine signals the container's own
				// program, with or without an agent.
				Signals:       agent != docker.AgentNone || mode == docker.ExecutionModeSession,
				ExactSignals:  agent == docker.AgentInject,
				EchoSubsystem: "echo",
				// An engine before API 1.42 can't set the size at the start,
				// and only the agent can wait for it.
				LateSize: agent == docker.AgentNone,
			}
			t.Run(string(mode)+"/"+string(agent), func(t *testing.T) {
				t.Parallel()
				target.Containers = containers(t)
				backendtest.Run(t, target)
			})
			if agent != docker.AgentInject {
				continue
			}
			t.Run(string(mode)+"/socket", func(t *testing.T) {
				t.Parallel()
				b, sockets := withSockets(t, c)
				target.Connect, target.Containers = b.Handler, containers(t)
				backendtest.Run(t, target)
				sockets.wantReached(t)
			})
		}
	}
}

// Podman gives the injected agent's users the same.
func TestConformancePodman(t *testing.T) {
	host := testpodman.Host(t)
	guest := testguest.BusyboxOn(t, host)
	for _, mode := range []docker.ExecutionMode{docker.ExecutionModeConnection, docker.ExecutionModeSession} {
		t.Run(string(mode), func(t *testing.T) {
			c := config(guest, mode, docker.AgentInject)
			c.Connection.Host = host
			b, sockets := withSockets(t, c)
			backendtest.Run(t, backendtest.Target{
				Connect:       b.Handler,
				Containers:    containersOn(t, host),
				Mode:          backend.Mode(mode),
				Signals:       true,
				ExactSignals:  true,
				EchoSubsystem: "echo",
			})
			sockets.wantReached(t)
		})
	}
}

// The older form of the configuration does the same: it always pulls, so the
// guest is in a registry.
func TestConformanceDockerRun(t *testing.T) {
	r := newRegistry(t)
	credentials(t, r.host, registryUser, registryPassword)
	image := r.push(t)
	backendtest.Run(t, backendtest.Target{
		Connect: func(client net.TCPAddr, id string) (sshserver.NetworkConnectionHandler, error) {
			return docker.NewDockerRun(client, id, docker.DockerRunConfig{
				Host: testguest.EngineHost(),
				Config: docker.DockerRunContainerConfig{
					LaunchConfig: docker.LaunchConfig{ContainerConfig: &container.Config{
						Image:           image,
						Cmd:             []string{"/bin/sh"},
						Labels:          map[string]string{testguest.Label: "1"},
						NetworkDisabled: true,
					}},
					Subsystems: map[string]string{"echo": "/bin/cat"},
				},
			}, testLogger(t), nil, nil)
		},
		Containers:    containers(t),
		Mode:          backend.ModeSession,
		Signals:       true,
		EchoSubsystem: "echo",
		LateSize:      true,
	})
}

// DisableCommand refuses commands, and nothing else.
func TestDockerRunDisableCommand(t *testing.T) {
	handler, err := docker.NewDockerRun(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, t.Name(), docker.DockerRunConfig{
		Host: testguest.EngineHost(),
		Config: docker.DockerRunContainerConfig{
			LaunchConfig:   docker.LaunchConfig{ContainerConfig: &container.Config{Image: "never-used"}},
			DisableCommand: true,
		},
	}, testLogger(t), nil, nil)
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
	err = session.OnExecRequest(1, "true", strings.NewReader(""), io.Discard, io.Discard, func(sshserver.ExitStatus) {})
	if got := backend.Code(err); got != docker.EProgramExecutionDisabled {
		t.Errorf("code %q (%v), want %q", got, err, docker.EProgramExecutionDisabled)
	}
}

func testLogger(t *testing.T) *slog.Logger { return loggerTo(t.Output()) }

func loggerTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func containers(t *testing.T) func(context.Context, string) ([]string, error) {
	return containersOn(t, testguest.EngineHost())
}

// containersOn lists a connection's containers by their label.
func containersOn(t *testing.T, host string) func(context.Context, string) ([]string, error) {
	e, err := engine.Open(engine.Settings{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return func(ctx context.Context, id string) ([]string, error) {
		found, err := e.ListContainers(ctx, map[string]string{"containerssh_connection_id": id})
		var ids []string
		for _, c := range found {
			ids = append(ids, c.ID)
		}
		return ids, err
	}
}
