package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/guestimage"
	"github.com/berth-ssh/berth/sshserver"
)

// Backend makes the handlers of a server's connections, all with one
// configuration at a time. Close it when the last of them has been disconnected.
type Backend struct {
	engine   *engine.Client
	log      *slog.Logger
	instance string
	run      string // of the instance, from Open to Close
	register *register
	sockets  *agentSockets // nil without them
	reaper   *reaper       // nil before Watch
	// warm is what all pools end with; nil before Warm.
	warm context.Context

	requests, failures Counter

	// mu guards what Reconfigure changes. It is held for memory only.
	mu     sync.Mutex
	config Config
	pool   *pool // nil without one

	retired sync.WaitGroup // the ends of the pools before this one
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
	warnOfNoAgent(config, logger)
	return &Backend{
		config: config, engine: e, log: logger, instance: instance, run: newLaunchID(), register: newRegister(),
		requests: orNothing(requests), failures: orNothing(failures),
	}, nil
}

func warnOfNoAgent(config Config, log *slog.Logger) {
	if config.Execution.Agent == AgentNone {
		log.Warn("the guest agent is disabled: no signals reach programs in connection mode", "code", EGuestAgentDisabled)
	}
}

// UseGuestImage makes containers from Berth's own image, which is loaded into
// the engine if it isn't there. To be called before Warm and Handler.
func (b *Backend) UseGuestImage(ctx context.Context) (name string, err error) {
	config, pool := b.current()
	if config, err = b.withGuestImage(ctx, config); err != nil {
		return "", err
	}
	b.change(config, pool)
	return config.Execution.Launch.ContainerConfig.Image, nil
}

// withGuestImage is config with Berth's own image, which the engine has then.
func (b *Backend) withGuestImage(ctx context.Context, config Config) (Config, error) {
	info, err := b.engine.Info(ctx)
	if err != nil {
		return config, err
	}
	name, err := guestimage.Ensure(ctx, b.engine, info.Architecture)
	if err != nil {
		return config, err
	}
	var c container.Config
	if configured := config.Execution.Launch.ContainerConfig; configured != nil {
		c = *configured
	}
	c.Image = name
	config.Execution.Launch.ContainerConfig = &c
	return config, nil
}

// UseSockets lets the agents of containers connect to this server directly, by
// sockets in a directory that is made for that, where the engine is on the same
// machine (and finds out whether it is). Without it, or where containers don't reach
// the sockets, all that programs read and write goes through the engine. To be called
// before Warm and Handler; Close removes the directory.
func (b *Backend) UseSockets(directory string) (err error) {
	config, _ := b.current()
	b.sockets, err = newAgentSockets(directory, config.Connection.Host, b.log)
	return err
}

// Handler makes the handler of one network connection.
func (b *Backend) Handler(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error) {
	config, pool := b.current()
	p, err := newProvider(config, b.log.With("connection", connectionID, "remote", client.String()), b.requests, b.failures)
	if err != nil {
		return nil, err
	}
	b.own(p)
	p.pool = pool
	return p.handler(client, connectionID), nil
}

// own makes a provider one of this server.
func (b *Backend) own(p *provider) {
	p.instance, p.run, p.register, p.sockets = b.instance, b.run, b.register, b.sockets
}

func (b *Backend) current() (Config, *pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.config, b.pool
}

func (b *Backend) change(config Config, pool *pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config, b.pool = config, pool
}

// Warm begins to keep containers ready, as config.Pool says, until ctx ends or
// Close. To be called after Validate and before Handler; without a pool in the
// configuration it does nothing.
func (b *Backend) Warm(ctx context.Context) {
	b.warm = ctx
	config, _ := b.current()
	b.change(config, b.newPool(config))
}

// newPool is nil where the configuration has none, and before Warm.
func (b *Backend) newPool(config Config) *pool {
	if config.Pool.Min == 0 || b.warm == nil {
		return nil
	}
	p := &provider{config: config, engine: b.engine, log: b.log, requests: b.requests, failures: b.failures}
	b.own(p)
	return newPool(b.warm, p)
}

// Reconfigure gives connections that come from now on containers as config says;
// the connections that there are keep theirs. The containers that wait in the pool
// are removed, in the background, and others made. Where config names no image, Berth's own is used, as
// with UseGuestImage; its Connection must be the one of Open. After an error all
// is as it was. ctx bounds reaching the engine. One call at a time, and none at
// the same time as Close.
func (b *Backend) Reconfigure(ctx context.Context, config Config) error {
	config = config.WithDefaults()
	before, old := b.current()
	if config.Connection != before.Connection {
		return errors.New("docker.connection can't be changed while the server runs: restart it")
	}
	if c := config.Execution.Launch.ContainerConfig; c == nil || c.Image == "" {
		var err error
		if config, err = b.withGuestImage(ctx, config); err != nil {
			return err
		}
	}
	config, err := complete(config)
	if err != nil {
		return err
	}
	warnOfNoAgent(config, b.log)
	pool := b.newPool(config)
	if pool != nil && old != nil {
		pool.inherit(old)
	}
	b.change(config, pool)
	if old != nil {
		b.retired.Go(old.close)
	}
	return nil
}

// Containers are those that connections have, in the order in which they got
// them.
func (b *Backend) Containers() []ContainerInfo { return b.register.list() }

// PoolStats is the state of the pool; zero without one.
func (b *Backend) PoolStats() PoolStats {
	_, pool := b.current()
	if pool == nil {
		return PoolStats{}
	}
	return pool.snapshot()
}

// Validate checks the whole configuration, after UseGuestImage where that is
// wanted.
func (b *Backend) Validate() error {
	config, _ := b.current()
	_, err := complete(config)
	return err
}

// Close removes the containers of the pool, and gives the engine's client back.
func (b *Backend) Close() {
	if b.reaper != nil {
		b.reaper.close()
	}
	if _, pool := b.current(); pool != nil {
		pool.close()
	}
	b.retired.Wait()
	b.sockets.close()
	b.engine.Close()
}
