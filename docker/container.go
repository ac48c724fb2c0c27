package docker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

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
	// labelRun names the run of that server.
	labelRun = "berth.run"
	// labelLaunch is unique to each container, so that one whose creation was
	// answered with a fault can be found.
	labelLaunch = "berth.launch"
)

// labels tell whose a container is.
func (p *provider) labels(launch string) map[string]string {
	labels := map[string]string{labelLaunch: launch}
	if p.instance != "" {
		labels[labelInstance], labels[labelRun] = p.instance, p.run
	}
	return labels
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
	maps.Copy(config.Labels, p.labels(launch))

	var host container.HostConfig
	if x.Launch.HostConfig != nil {
		host = *x.Launch.HostConfig
	}
	// A container that ends is removed even if this server is gone by then.
	host.AutoRemove = host.RestartPolicy.Name == "" || host.RestartPolicy.IsNone()
	p.confine(ctx, &host)

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
	namelessLast(&config, &host)
	return engine.ContainerSpec{
		Name:     x.Launch.ContainerName,
		Config:   &config,
		Host:     &host,
		Network:  x.Launch.NetworkConfig,
		Platform: x.Launch.Platform,
	}, nil
}

// namelessLast puts volumes without a name behind all other mounts. Docker makes
// them in the order that they are given in, and leaves those that it has made when a
// later mount fails, as when an agent's socket goes with a client who does not wait
// for the container: these would be nobody's.
func namelessLast(config *container.Config, host *container.HostConfig) {
	last := func(m mount.Mount) int {
		if m.Type == mount.TypeVolume && m.Source == "" {
			return 1
		}
		return 0
	}
	host.Mounts = slices.SortedStableFunc(slices.Values(host.Mounts), func(a, b mount.Mount) int { return last(a) - last(b) })
	// Binds come first, and Volumes after all mounts. For docker run -v, too, a path
	// alone is one of the latter.
	volumes := maps.Clone(config.Volumes)
	host.Binds = slices.DeleteFunc(slices.Clone(host.Binds), func(bind string) bool {
		if strings.Contains(bind, ":") {
			return false
		}
		if volumes == nil {
			volumes = map[string]struct{}{}
		}
		volumes[bind] = struct{}{}
		return true
	})
	config.Volumes = volumes
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
