package containerssh_test

import (
	"net"
	"testing"

	"github.com/containerssh/geoip"
	"github.com/containerssh/log"
	"github.com/containerssh/metrics"
	original "github.com/containerssh/sshserver"
	"github.com/docker/docker/api/types/container"

	"github.com/berth-ssh/berth/contrib/containerssh/docker"
	berth "github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/testguest"
)

// The original's public conformance suite, run by its own server and client
// against the backends here, on a real engine. Its guest has to have tput and
// the guest agent.
func TestConformance(t *testing.T) {
	for name, reason := range impossible {
		t.Logf("LOUD: %s is left out: %s", name, reason)
	}
	guest := testguest.WithAgent(t, testguest.Debian(t))
	// The form of dockerrun has no setting for the shell; it is /bin/sh. The
	// suite wants its signal to reach the command, as it does where a shell
	// makes way for the only command that it has been given. Debian's dash
	// stays, and dies of the signal; bash goes.
	bash := link(t, "usr/bin/sh", "bash")
	backends := map[string]original.ConformanceTestBackendFactory{
		"dockerrun": dockerRunBackend(inRegistry(t, guest, bash)),
	}
	for _, mode := range []docker.ExecutionMode{docker.ExecutionModeConnection, docker.ExecutionModeSession} {
		for _, agent := range berth.AgentMode("").Values() {
			backends[string(mode)+"-"+agent] = dockerBackend(guest, mode, berth.AgentMode(agent))
		}
	}
	original.RunConformanceTests(t, backends)
}

func dockerBackend(guest string, mode docker.ExecutionMode, agent berth.AgentMode) original.ConformanceTestBackendFactory {
	var c docker.Config
	c.Connection.Host = testguest.EngineHost()
	c.Execution.Launch.ContainerConfig = &container.Config{Image: guest, Labels: map[string]string{testguest.Label: "1"}}
	c.Execution.Mode = mode
	c.Execution.Agent = agent
	c.Execution.ImagePullPolicy = docker.ImagePullPolicyNever
	return func(logger log.Logger) (original.NetworkConnectionHandler, error) {
		requests, failures := counters()
		return docker.New(peer, original.GenerateConnectionID(), c, logger, requests, failures)
	}
}

func dockerRunBackend(guest string) original.ConformanceTestBackendFactory {
	var c docker.DockerRunConfig
	c.Host = testguest.EngineHost()
	c.Config.ContainerConfig = &container.Config{Image: guest, Labels: map[string]string{testguest.Label: "1"}}
	return func(logger log.Logger) (original.NetworkConnectionHandler, error) {
		requests, failures := counters()
		return docker.NewDockerRun(peer, original.GenerateConnectionID(), c, logger, requests, failures)
	}
}

var peer = net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2222}

func counters() (requests, failures metrics.SimpleCounter) {
	where, err := geoip.New(geoip.Config{Provider: geoip.DummyProvider})
	if err != nil {
		panic(err)
	}
	c := metrics.New(where)
	return c.MustCreateCounter("backend_requests", "", ""), c.MustCreateCounter("backend_failures", "", "")
}
