package docker

import (
	"log/slog"
	"net"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/sshserver"
)

// Counter counts events; a Prometheus counter is one.
type Counter interface{ Inc() }

// New makes the handler of one network connection: programs run in containers
// as config says. Missing settings have their defaults; what is wrong with
// config is in the error. Containers are confined by default, see
// LaunchConfig.HostConfig. connectionID should be unique and is put on the
// container's labels. A nil logger discards, nil counters count nothing;
// requests counts calls to the engine, failures those that failed.
//
// The caller must call OnDisconnect on what is returned. All handlers with the
// same connection settings share one client of the engine.
func New(client net.TCPAddr, connectionID string, config Config, logger *slog.Logger, requests, failures Counter) (sshserver.NetworkConnectionHandler, error) {
	config, err := complete(config)
	if err != nil {
		return nil, err
	}
	p, err := newProvider(config, logger, requests, failures)
	if err != nil {
		return nil, err
	}
	return p.handler(client, connectionID), nil
}

// NewDockerRun is New for the configuration of the older "dockerrun" backend.
//
// Deprecated: use New. A warning with the code EDockerRun is logged.
func NewDockerRun(client net.TCPAddr, connectionID string, config DockerRunConfig, logger *slog.Logger, requests, failures Counter) (sshserver.NetworkConnectionHandler, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	logger.Warn("the dockerrun configuration is deprecated; write a docker one instead", "code", EDockerRun)
	return New(client, connectionID, config.Convert(), logger, requests, failures)
}

// complete fills in the defaults and validates.
func complete(config Config) (Config, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return Config{}, &backend.Error{
			Code: EConfigError, User: UserMessageInitializeSSHSession,
			Message: "the configuration of the docker backend is not usable", Err: err,
		}
	}
	return config, nil
}

// newProvider makes the provider of one connection. It belongs to no server: see
// Backend.own.
func newProvider(config Config, logger *slog.Logger, requests, failures Counter) (*provider, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	e, err := openEngine(config)
	if err != nil {
		return nil, err
	}
	if config.Execution.Agent == AgentNone {
		logger.Debug("the guest agent is disabled: no signals reach programs in connection mode", "code", EGuestAgentDisabled)
	}
	return &provider{
		config: config, engine: e, log: logger,
		requests: orNothing(requests), failures: orNothing(failures),
	}, nil
}

// handler makes the handler of the connection, with which p ends.
func (p *provider) handler(client net.TCPAddr, connectionID string) sshserver.NetworkConnectionHandler {
	c := &p.config
	return backend.NewConnection(client, connectionID, backend.Options{
		Provider:    p,
		Mode:        backend.Mode(c.Execution.Mode),
		CodePrefix:  codePrefix,
		Start:       c.Timeouts.CommandStart,
		Signal:      c.Timeouts.Signal,
		Window:      c.Timeouts.Window,
		Stop:        c.Timeouts.ContainerStop,
		HangupGrace: hangupGrace,
		// Only our own agent makes and accepts connections.
		Forwarding:   c.Execution.Agent == AgentInject,
		NoForwarding: "forwarding needs execution.agent: inject",
		Logger:       p.log,
		Release:      p.release,
	})
}

func openEngine(config Config) (*engine.Client, error) {
	c := config.Connection
	e, err := engine.Open(engine.Settings{
		Host: c.Host, CACert: c.CaCert, Cert: c.Cert, Key: c.Key, Timeout: config.Timeouts.HTTP,
	})
	if err != nil {
		return nil, &backend.Error{
			Code: EConfigError, User: UserMessageInitializeSSHSession,
			Message: "the engine's connection settings are not usable", Err: err,
		}
	}
	return e, nil
}

type nothing struct{}

func (nothing) Inc() {}

func orNothing(c Counter) Counter {
	if c == nil {
		return nothing{}
	}
	return c
}

func shortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
