package containerssh_test

import (
	"context"
	"net"
	"testing"

	"github.com/containerssh/log"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/backend/backendtest"
	"github.com/berth-ssh/berth/contrib/containerssh"
	"github.com/berth-ssh/berth/contrib/containerssh/docker"
	berth "github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/sshserver"
)

// Berth's own suite, on a handler that has become one of the original's and one
// of ours again: nothing is lost on the way.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	engine, err := client.NewClientWithOpts(client.WithHost(testguest.EngineHost()), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	var c docker.Config
	c.Connection.Host = testguest.EngineHost()
	c.Execution.Launch.ContainerConfig = &container.Config{
		Image: testguest.Busybox(t), Labels: map[string]string{testguest.Label: "1"},
	}
	c.Execution.Agent = berth.AgentInject
	c.Execution.Subsystems = map[string]string{"echo": "/bin/cat"}
	c.Execution.ImagePullPolicy = docker.ImagePullPolicyNever
	backendtest.Run(t, backendtest.Target{
		Connect: func(peer net.TCPAddr, id string) (sshserver.NetworkConnectionHandler, error) {
			requests, failures := counters()
			h, err := docker.New(peer, id, c, log.NewTestLogger(t), requests, failures)
			if err != nil {
				return nil, err
			}
			return containerssh.FromNetworkConnection(h), nil
		},
		Containers: func(ctx context.Context, id string) ([]string, error) {
			list, err := engine.ContainerList(ctx, types.ContainerListOptions{
				All: true, Filters: filters.NewArgs(filters.Arg("label", "containerssh_connection_id="+id)),
			})
			var ids []string
			for _, c := range list {
				ids = append(ids, c.ID)
			}
			return ids, err
		},
		Mode: backend.ModeConnection, Signals: true, ExactSignals: true, EchoSubsystem: "echo",
	})
}
