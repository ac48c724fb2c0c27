package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/guestimage"
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
	return newHandler(client, connectionID, config, logger, requests, failures, nil)
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

// newHandler makes a handler; b is nil for embedders.
func newHandler(client net.TCPAddr, connectionID string, config Config, logger *slog.Logger, requests, failures Counter, b *Backend) (sshserver.NetworkConnectionHandler, error) {
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
	p := &provider{
		config: config, engine: e, log: logger,
		requests: orNothing(requests), failures: orNothing(failures),
	}
	if b != nil {
		p.instance, p.run, p.pool, p.register, p.sockets = b.instance, b.run, b.pool, b.register, b.sockets
	}
	return backend.NewConnection(client, connectionID, backend.Options{
		Provider:    p,
		Mode:        backend.Mode(config.Execution.Mode),
		CodePrefix:  codePrefix,
		Start:       config.Timeouts.CommandStart,
		Signal:      config.Timeouts.Signal,
		Window:      config.Timeouts.Window,
		Stop:        config.Timeouts.ContainerStop,
		HangupGrace: hangupGrace,
		// Only our own agent makes and accepts connections.
		Forwarding:   config.Execution.Agent == AgentInject,
		NoForwarding: "forwarding needs execution.agent: inject",
		Logger:       logger,
		Release:      p.release,
	}), nil
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

// Backend makes the handlers of a server's connections, all with one
// configuration. Close it when the last of them has been disconnected.
type Backend struct {
	config   Config
	engine   *engine.Client
	log      *slog.Logger
	instance string
	run      string // of the instance, from Open to Close
	register *register
	pool     *pool         // nil without one
	sockets  *agentSockets // nil without them
	reaper   *reaper       // nil before Watch

	requests, failures Counter
}

// Open reaches the engine, once, and checks the configuration but for the
// image, which may be chosen later with UseGuestImage. instance names this
// server on the labels of its containers, so that Reap can tell them from
// those of other servers on the same engine: no two servers may run under one
// name. Empty means that nothing is ever reaped. ctx bounds reaching the engine.
func Open(ctx context.Context, config Config, instance string, logger *slog.Logger, requests, failures Counter) (*Backend, error) {
	config = config.WithDefaults()
	if err := config.Connection.Validate(); err != nil {
		return nil, err
	}
	e, err := openEngine(config)
	if err != nil {
		return nil, err
	}
	info, err := e.Info(ctx)
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("the container engine at %s cannot be used: %w", config.Connection.Host, err)
	}
	machine(ctx, e, config.Connection.Host, logger) // is known then, when somebody logs in
	logger.Debug("reached the engine", "host", config.Connection.Host, "api", info.APIVersion, "podman", info.Podman)
	if config.Execution.Agent == AgentNone {
		logger.Warn("the guest agent is disabled: no signals reach programs in connection mode", "code", EGuestAgentDisabled)
	}
	return &Backend{
		config: config, engine: e, log: logger, instance: instance, run: newLaunchID(), register: newRegister(),
		requests: orNothing(requests), failures: orNothing(failures),
	}, nil
}

// UseGuestImage makes containers from Berth's own image, which is loaded into
// the engine if it isn't there. To be called before Handler.
func (b *Backend) UseGuestImage(ctx context.Context) (name string, err error) {
	info, err := b.engine.Info(ctx)
	if err != nil {
		return "", err
	}
	name, err = guestimage.Ensure(ctx, b.engine, info.Architecture)
	if err != nil {
		return "", err
	}
	var c container.Config
	if configured := b.config.Execution.Launch.ContainerConfig; configured != nil {
		c = *configured
	}
	c.Image = name
	b.config.Execution.Launch.ContainerConfig = &c
	return name, nil
}

// UseSockets lets the agents of containers connect to this server directly, by
// sockets in a directory that is made for that, where the engine is on the same
// machine (and finds out whether it is). Without it, or where containers don't reach
// the sockets, all that programs read and write goes through the engine. To be called
// before Warm and Handler; Close removes the directory.
func (b *Backend) UseSockets(directory string) (err error) {
	b.sockets, err = newAgentSockets(directory, b.config.Connection.Host, b.log)
	return err
}

// Handler makes the handler of one network connection.
func (b *Backend) Handler(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error) {
	log := b.log.With("connection", connectionID, "remote", client.String())
	return newHandler(client, connectionID, b.config, log, b.requests, b.failures, b)
}

// Warm begins to keep containers ready, as config.Pool says, until ctx ends or
// Close. To be called after Validate and before Handler; without a pool in the
// configuration it does nothing.
func (b *Backend) Warm(ctx context.Context) {
	if b.config.Pool.Min == 0 {
		return
	}
	b.pool = newPool(ctx, &provider{
		config: b.config, engine: b.engine, log: b.log, instance: b.instance, run: b.run, register: b.register,
		requests: b.requests, failures: b.failures, sockets: b.sockets,
	})
}

// Containers are those that connections have, in the order in which they got
// them.
func (b *Backend) Containers() []ContainerInfo { return b.register.list() }

// PoolStats is the state of the pool; zero without one.
func (b *Backend) PoolStats() PoolStats {
	if b.pool == nil {
		return PoolStats{}
	}
	return b.pool.snapshot()
}

// Validate checks the whole configuration, after UseGuestImage where that is
// wanted.
func (b *Backend) Validate() error {
	_, err := complete(b.config)
	return err
}

// Close removes the containers of the pool, and gives the engine's client back.
func (b *Backend) Close() {
	if b.reaper != nil {
		b.reaper.close()
	}
	if b.pool != nil {
		b.pool.close()
	}
	b.sockets.close()
	b.engine.Close()
}

func shortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
