package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

// Labels on every container. The first three are the seed's.
const (
	labelConnection = "containerssh_connection_id"
	labelIP         = "containerssh_ip"
	labelUsername   = "containerssh_username"
	// labelInstance names the server that made the container.
	labelInstance = "berth.instance"
	// labelLaunch is unique to each container, so that one whose creation was
	// answered with a fault can be found.
	labelLaunch = "berth.launch"
)

// madeContainer is a container that has been created and belongs to one workload.
type madeContainer struct {
	p   *provider
	id  string
	log *slog.Logger
}

// create makes the container and gets its image if need be. socket is for its agent;
// nil without one.
func (p *provider) create(ctx context.Context, l backend.Launch, socket *agentSocket) (*madeContainer, error) {
	launch := newLaunchID()
	spec, err := p.spec(ctx, l, launch, socket)
	if err != nil {
		return nil, err
	}
	id, err := p.tryCreate(ctx, spec, launch, l.Progress)
	var failed *backend.Error
	if errors.As(err, &failed) && errors.Is(err, engine.ErrNotFound) {
		if err := p.missingImage(ctx, failed, l.Progress); err != nil {
			return nil, err
		}
		id, err = p.tryCreate(ctx, spec, launch, l.Progress)
	}
	if err != nil {
		return nil, err
	}
	log := p.log.With("container", shortID(id))
	log.Debug("created the container", "code", MContainerCreate)
	return &madeContainer{p: p, id: id, log: log}, nil
}

// tryCreate makes the engine's call, until ContainerStart has passed. An answer
// that was lost on the way may have made a container all the same: those are
// swept up in the background.
func (p *provider) tryCreate(ctx context.Context, spec engine.ContainerSpec, launch string, progress func(string)) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeouts.ContainerStart)
	defer cancel()
	doubts := 0
	err = p.do(ctx, stepCreate, retrying(progress, func(ctx context.Context) error {
		var err error
		id, err = p.engine.CreateContainer(ctx, spec)
		if err != nil && !engine.Permanent(err) || errors.Is(err, context.Canceled) {
			doubts++
		}
		return err
	}))
	if doubts > 0 {
		p.sweep(ctx, launch, id, doubts)
	}
	return id, err
}

// sweepFor is how long an engine may take to come forward with a container
// whose creation it has not confirmed.
const sweepFor = 10 * time.Second

// sweep removes all containers of a launch but one, in the background; there are
// at most as many as doubts.
func (p *provider) sweep(ctx context.Context, launch, keep string, doubts int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(sweepFor, p.config.Timeouts.ContainerStop))
	p.removals.Go(func() {
		defer cancel()
		removed := map[string]bool{}
		for {
			found, _ := p.engine.ListContainers(ctx, map[string]string{labelLaunch: launch})
			for _, c := range found {
				if c.ID == keep || removed[c.ID] {
					continue
				}
				p.log.Info("removing a container whose creation was not confirmed",
					"container", shortID(c.ID), "code", MContainerRemove)
				if err := p.engine.RemoveContainer(ctx, c.ID); err == nil {
					removed[c.ID] = true
				}
			}
			if len(removed) >= doubts {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	})
}

// spec is the one place that turns configuration into a container.
func (p *provider) spec(ctx context.Context, l backend.Launch, launch string, socket *agentSocket) (engine.ContainerSpec, error) {
	x := &p.config.Execution
	config := *x.Launch.ContainerConfig
	config.Labels = maps.Clone(config.Labels)
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	if l.Login.ConnectionID != "" { // there is none yet in a pool
		config.Labels[labelConnection] = l.Login.ConnectionID
		config.Labels[labelIP] = l.Login.Client.IP.String()
		config.Labels[labelUsername] = strings.ToValidUTF8(l.Login.Username, "\uFFFD")
	}
	config.Labels[labelLaunch] = launch
	if p.instance != "" {
		config.Labels[labelInstance] = p.instance
	}

	var host container.HostConfig
	if x.Launch.HostConfig != nil {
		host = *x.Launch.HostConfig
	}
	// A container that ends is removed even if this server is gone by then.
	host.AutoRemove = host.RestartPolicy.Name == "" || host.RestartPolicy.IsNone()

	if x.Agent == AgentInject {
		if err := p.agentSpec(ctx, &config, &host, socket); err != nil {
			return engine.ContainerSpec{}, err
		}
	} else if l.Program == nil {
		// The image's command is ignored, and its entry point too: it would
		// get the idle command as arguments.
		setCommand(&config, x.IdleCommand)
	} else if err := p.sessionSpec(ctx, &config, &host, l); err != nil {
		return engine.ContainerSpec{}, err
	}
	return engine.ContainerSpec{
		Name:     x.Launch.ContainerName,
		Config:   &config,
		Host:     &host,
		Network:  x.Launch.NetworkConfig,
		Platform: x.Launch.Platform,
	}, nil
}

// sessionSpec completes the container of session mode, which runs one program.
func (p *provider) sessionSpec(ctx context.Context, config *container.Config, host *container.HostConfig, l backend.Launch) error {
	program := *l.Program
	config.AttachStdin, config.AttachStdout, config.AttachStderr = true, true, true
	config.OpenStdin, config.StdinOnce = true, true
	config.Tty = program.Terminal != nil
	config.Env = append(slices.Clone(config.Env), environment(program)...)
	if program.Terminal != nil {
		size := sizeOf(program.Terminal.Size)
		host.ConsoleSize = [2]uint{uint(size.Rows), uint(size.Columns)} // used from API 1.42 on
	}
	// As process 1 a program would get no signal that it has no handler for:
	// neither ctrl-c nor TERM would end it.
	if host.Init == nil {
		yes := true
		host.Init = &yes
	}
	// The streams carry the session: a log driver would copy every byte to the
	// engine's disk.
	if host.LogConfig.Type == "" {
		host.LogConfig.Type = "none"
	}

	argv := p.command(program)
	switch {
	case argv == nil && p.config.Execution.Agent == AgentNone:
		return nil // the shell is the command of the image or the configuration
	case argv == nil:
		// The agent stands before the command, which must be known for that.
		entrypoint, command := []string(config.Entrypoint), []string(config.Cmd)
		if len(entrypoint) == 0 || len(command) == 0 {
			image, err := p.image(ctx, config.Image, l.Progress)
			if err != nil {
				return err
			}
			if len(entrypoint) == 0 {
				entrypoint = image.Entrypoint
				if len(command) == 0 {
					command = image.Cmd
				}
			}
		}
		argv = slices.Concat(entrypoint, command)
		config.Entrypoint = nil
		if len(argv) == 0 {
			return nil // the engine says that there is no command
		}
	}
	if p.config.Execution.Agent == AgentImage {
		argv = append([]string{p.config.Execution.AgentPath, "console", "--"}, argv...)
	}
	setCommand(config, argv)
	return nil
}

// image looks the image up, and gets it if need be.
func (p *provider) image(ctx context.Context, name string, progress func(string)) (engine.Image, error) {
	var image engine.Image
	look := func() error {
		ctx, cancel := context.WithTimeout(ctx, p.config.Timeouts.ContainerStart)
		defer cancel()
		return p.do(ctx, stepInspectImage, func(ctx context.Context) error {
			var err error
			image, err = p.engine.InspectImage(ctx, name)
			return err
		})
	}
	err := look()
	var failed *backend.Error
	if errors.As(err, &failed) && errors.Is(err, engine.ErrNotFound) {
		if err := p.missingImage(ctx, failed, progress); err != nil {
			return image, err
		}
		err = look()
	}
	return image, err
}

// setCommand makes a container run argv. The image's entry point would get it
// as arguments; only one that is configured explicitly does.
func setCommand(config *container.Config, argv []string) {
	if len(config.Entrypoint) > 0 {
		config.Cmd = argv
		return
	}
	config.Entrypoint, config.Cmd = argv, nil
}

// command is the argv of a program; nil stands for the container's own command.
func (p *provider) command(program backend.Program) []string {
	x := &p.config.Execution
	switch program.Kind {
	case backend.KindSubsystem:
		return []string{x.Subsystems[program.Command]}
	case backend.KindExec:
		shell := x.ShellCommand
		if len(shell) == 0 {
			shell = []string{"/bin/sh"}
		}
		return append(slices.Clone(shell), "-c", program.Command)
	default:
		if x.Mode == ExecutionModeSession {
			return nil
		}
		return slices.Clone(x.ShellCommand)
	}
}

// environment is what the client has set, and TERM.
func environment(program backend.Program) []string {
	env := make([]string, 0, len(program.Env)+1)
	if t := program.Terminal; t != nil && t.Type != "" {
		env = append(env, "TERM="+t.Type)
	}
	for _, v := range program.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// sizeOf gives a terminal of unknown size the usual one, and keeps what a
// client says within what a terminal can hold.
func sizeOf(s backend.Size) backend.Size {
	if s.Columns == 0 {
		s.Columns = 80
	}
	if s.Rows == 0 {
		s.Rows = 24
	}
	s.Columns, s.Rows = min(s.Columns, 1<<16-1), min(s.Rows, 1<<16-1)
	return s
}

// start starts the container.
func (c *madeContainer) start(ctx context.Context, progress func(string)) error {
	err := c.p.do(ctx, stepStart, retrying(progress, func(ctx context.Context) error {
		return c.p.engine.StartContainer(ctx, c.id)
	}))
	var failed *backend.Error
	if !errors.As(err, &failed) {
		return err
	}
	if code := startFailure(failed.Err.Error()); code != 0 {
		failed.Exit = uint32(code)
		failed.User = UserMessageInitializeSSHSession + " The image has no program to start: " +
			"the one that is configured is missing or can't be run."
		failed.Message = "could not start the container: its command is not in the image; " +
			"set execution.idleCommand and execution.agentPath to what the image has, or execution.agent to none"
	}
	return failed
}

// startFailure recognizes the engines' words for a program that cannot be
// started: 127 if there is none, 126 if it can't be executed, as shells say it;
// otherwise 0.
func startFailure(text string) int {
	text = strings.ToLower(text)
	switch {
	case !strings.Contains(text, "exec") && !strings.Contains(text, "oci runtime"):
		return 0
	case strings.Contains(text, "executable file not found"),
		strings.Contains(text, "no such file or directory"):
		return 127
	case strings.Contains(text, "permission denied"), strings.Contains(text, "is a directory"),
		strings.Contains(text, "exec format error"):
		return 126
	}
	return 0
}

// discard removes the container in the background, since somebody waits for
// the word that it is not to be had.
func (c *madeContainer) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.p.config.Timeouts.ContainerStop)
	c.p.removals.Go(func() {
		defer cancel()
		if err := c.remove(ctx); err != nil {
			c.log.Error("a container is left for the reaper", "error", err, "code", EFailedContainerRemove)
		}
	})
}

// remove kills the container, if it still runs, and removes it.
func (c *madeContainer) remove(ctx context.Context) error {
	err := c.p.do(ctx, stepRemove, func(ctx context.Context) error {
		return c.p.engine.RemoveContainer(ctx, c.id)
	})
	if err != nil {
		return err
	}
	c.p.register.remove(c.id)
	c.log.Debug("removed the container", "code", MContainerRemoveSuccessful)
	return nil
}

func newLaunchID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
