package docker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

// agentContainer runs programs through the agent that was put into it, over one
// stream.
type agentContainer struct {
	*madeContainer
	*backend.Agent
	client *agentproto.Client
}

var _ backend.Workload = (*agentContainer)(nil)

// Close ends the stream, which is the container's lifeline, and removes it.
func (c *agentContainer) Close(ctx context.Context) error {
	_ = c.client.Close()
	return c.remove(ctx)
}

// agentSpec completes a container in which the agent runs programs.
func (p *provider) agentSpec(ctx context.Context, config *container.Config, host *container.HostConfig, socket *agentSocket) error {
	v, err := p.agentVolume(ctx)
	if err != nil {
		return stepAgent.failed(err)
	}
	host.Mounts = append(slices.Clone(host.Mounts), v.mount(p, true))
	if socket != nil {
		host.Mounts = append(host.Mounts, socket.mount())
	}
	config.Tty = false
	if p.config.Execution.User != "" && config.User == "" {
		config.User = "0" // only root can become another user
	}
	if idle := p.config.Execution.IdleCommand; len(idle) > 0 {
		setCommand(config, idle)
		return nil
	}
	config.Entrypoint, config.Cmd = socket.command(), nil
	config.AttachStdin, config.AttachStdout, config.AttachStderr = true, true, true
	config.OpenStdin, config.StdinOnce = true, true
	// The agent is the first process itself, and its stream carries sessions:
	// a log driver would copy every byte to the engine's disk.
	host.Init = nil
	host.LogConfig = container.LogConfig{Type: "none"}
	return nil
}

// provisionAgent takes a container from the pool, or makes one.
func (p *provider) provisionAgent(ctx context.Context, l backend.Launch) (backend.Workload, error) {
	if p.pool != nil {
		waiting, done := p.pool.take()
		if waiting != nil {
			c := &madeContainer{p: p, id: waiting.container.id, launch: waiting.container.launch,
				log: p.log.With("container", shortID(waiting.container.id))}
			c.log.Info("took a container from the pool", "user", l.Login.Username)
			p.register.add(c.id, l.Login, true)
			return p.agentContainer(l.Login, c, waiting.client), nil
		}
		defer done()
	}
	c, client, err := p.makeAgent(ctx, l)
	if err != nil {
		return nil, err
	}
	p.register.add(c.id, l.Login, false)
	return p.agentContainer(l.Login, c, client), nil
}

func (p *provider) agentContainer(login backend.Login, c *madeContainer, client *agentproto.Client) *agentContainer {
	translate := func(program backend.Program) agentproto.Start { return p.agentStart(login, program) }
	return &agentContainer{madeContainer: c, client: client, Agent: backend.NewAgent(client, codePrefix, translate)}
}

// makeAgent makes a container and connects to the agent in it.
func (p *provider) makeAgent(ctx context.Context, l backend.Launch) (*madeContainer, *agentproto.Client, error) {
	for again := false; ; {
		socket := p.sockets.open()
		c, client, err := p.tryAgent(ctx, l, socket, again)
		socket.close()
		if err == nil {
			return c, client, nil
		}
		if socket.refused(err) {
			continue
		}
		// Somebody may have removed the volume: then the engine has made an
		// empty one, and there is no agent to start.
		var failed *backend.Error
		if again || c == nil || !errors.As(err, &failed) || failed.Exit != 127 || len(p.config.Execution.IdleCommand) > 0 {
			return nil, nil, err
		}
		again = true
	}
}

// tryAgent is one attempt. The container of one that fails is removed, and
// returned if there was one.
func (p *provider) tryAgent(ctx context.Context, l backend.Launch, socket *agentSocket, again bool) (*madeContainer, *agentproto.Client, error) {
	c, err := p.create(ctx, l, socket)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.connect(ctx, l, socket, again)
	if err != nil {
		c.discard(ctx)
	}
	return c, client, err
}

// connect starts the container and greets its agent.
func (c *madeContainer) connect(ctx context.Context, l backend.Launch, socket *agentSocket, again bool) (*agentproto.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, c.p.config.Timeouts.ContainerStart)
	defer cancel()
	v, err := c.p.agentVolume(ctx)
	if err == nil {
		err = v.ensure(ctx, c.p, c.p.config.Execution.Launch.ContainerConfig.Image, again)
	}
	if err != nil {
		return nil, err
	}
	var stream *engine.Stream
	if len(c.p.config.Execution.IdleCommand) > 0 {
		if err := c.start(ctx, l.Progress); err != nil {
			return nil, err
		}
		beside := connectionContainer{madeContainer: c}
		_, stream, err = beside.exec(ctx, engine.ExecSpec{Cmd: socket.command()})
	} else {
		err = c.p.do(ctx, stepAttach, func(ctx context.Context) error {
			var err error
			stream, err = c.p.engine.AttachContainer(ctx, c.id, false)
			return err
		})
		if err == nil {
			if err = c.start(ctx, l.Progress); err != nil {
				_ = stream.Close()
			}
		}
	}
	if err != nil {
		return nil, err
	}
	client, err := socket.connect(ctx, stream)
	if err != nil {
		return nil, stepGreet.failed(err)
	}
	return client, nil
}

// agentStart says how the agent is to run a program.
func (p *provider) agentStart(login backend.Login, program backend.Program) agentproto.Start {
	x := &p.config.Execution
	start := agentproto.Start{Kind: agentproto.KindShell, Shell: x.ShellCommand, User: userOf(x.User, login)}
	switch program.Kind {
	case backend.KindExec:
		start.Kind, start.Command = agentproto.KindExec, program.Command
	case backend.KindSubsystem:
		if path := x.Subsystems[program.Command]; path == internalSFTP {
			start.Kind = agentproto.KindSFTP
		} else {
			start.Kind, start.Argv = agentproto.KindArgv, []string{path}
		}
	default:
		c := x.Launch.ContainerConfig
		if argv := slices.Concat(c.Entrypoint, c.Cmd); x.Mode == ExecutionModeSession && len(argv) > 0 {
			start.Kind, start.Argv = agentproto.KindArgv, argv
		}
	}
	start.Dir = x.Launch.ContainerConfig.WorkingDir
	for _, v := range program.Env {
		start.Env = append(start.Env, v.Name+"="+v.Value)
	}
	if t := program.Terminal; t != nil {
		size := sizeOf(t.Size)
		start.Terminal = &agentproto.Terminal{
			Type:  t.Type,
			Size:  agentproto.Size{Columns: size.Columns, Rows: size.Rows, Width: size.Width, Height: size.Height},
			Modes: string(t.Modes),
		}
	}
	if x := program.X11; x != nil {
		start.X11 = &agentproto.X11{Display: x.Display, Screen: x.Screen, Protocol: x.Protocol, Cookie: string(x.Cookie)}
	}
	return start
}

// userOf is the user that programs run as: %u is the login name, %% a percent
// sign, as in sshd_config(5).
func userOf(template string, login backend.Login) string {
	return strings.NewReplacer("%u", login.Username, "%%", "%").Replace(template)
}
