package docker

import (
	"net"

	"github.com/containerssh/log"
	"github.com/containerssh/metrics"
	original "github.com/containerssh/sshserver"

	"github.com/berth-ssh/berth/contrib/containerssh"
	"github.com/berth-ssh/berth/docker"
)

// New makes the handler of one network connection. Its errors are messages of
// the original's.
func New(
	client net.TCPAddr, connectionID string, config Config, logger log.Logger,
	backendRequestsMetric, backendFailuresMetric metrics.SimpleCounter,
) (original.NetworkConnectionHandler, error) {
	ours, err := config.translated()
	if err != nil {
		return nil, log.Wrap(err, EConfigError, "the configuration of the docker backend can't be used")
	}
	h, err := docker.New(client, connectionID, ours, containerssh.Logger(logger),
		containerssh.Counter(backendRequestsMetric), containerssh.Counter(backendFailuresMetric))
	if err != nil {
		return nil, containerssh.Message(err)
	}
	return containerssh.NetworkConnection(h), nil
}

// NewDockerRun is New for the older form of the configuration.
//
// Deprecated: use New.
func NewDockerRun(
	client net.TCPAddr, connectionID string, legacyConfig DockerRunConfig, logger log.Logger,
	backendRequestsMetric, backendFailuresMetric metrics.SimpleCounter,
) (original.NetworkConnectionHandler, error) {
	ours, err := translated[docker.DockerRunConfig](legacyConfig)
	if err != nil {
		return nil, log.Wrap(err, EConfigError, "the dockerrun configuration can't be used")
	}
	h, err := docker.NewDockerRun(client, connectionID, ours, containerssh.Logger(logger),
		containerssh.Counter(backendRequestsMetric), containerssh.Counter(backendFailuresMetric))
	if err != nil {
		return nil, containerssh.Message(err)
	}
	return containerssh.NetworkConnection(h), nil
}
