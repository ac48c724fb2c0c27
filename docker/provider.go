package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

const (
	codePrefix = "DOCKER_"

	// hangupGrace is how long a program may take to end after HUP, and then
	// after TERM, before it is killed.
	hangupGrace = 2 * time.Second
)

// provider makes the containers of one connection, or of a pool.
type provider struct {
	config             Config // complete; never changed
	engine             *engine.Client
	log                *slog.Logger
	requests, failures Counter
	// instance and run name the server, and its run, on labels; empty for
	// embedders.
	instance, run string
	// pool, register and sockets may be nil.
	pool     *pool
	register *register
	sockets  *agentSockets

	// removals counts what is being removed in the background.
	removals sync.WaitGroup
}

// release waits for removals in the background and gives the engine back.
func (p *provider) release() {
	p.removals.Wait()
	p.engine.Close()
}

// step names an engine call for the log and for the user.
type step struct {
	begin, fail string // codes
	name        string // what is done, for the log
	user        string // what has failed, for the user
}

var (
	stepPull = step{MImagePull, EFailedImagePull, "pull the image",
		UserMessageInitializeSSHSession + " The image could not be fetched."}
	stepInspectImage = step{MImageList, EFailedImageList, "look for the image",
		UserMessageInitializeSSHSession + " The image could not be looked up."}
	stepCreate = step{MContainerCreate, EFailedContainerCreate, "create the container",
		UserMessageInitializeSSHSession + " The container could not be created."}
	stepStart = step{MContainerStart, EFailedContainerStart, "start the container",
		UserMessageInitializeSSHSession + " The container could not be started."}
	stepAttach = step{MContainerAttach, EFailedContainerAttach, "attach to the container",
		UserMessageInitializeSSHSession + " The container could not be attached to."}
	stepAgent = step{MContainerCreate, EFailedAgentRead, "put the guest agent in place",
		UserMessageInitializeSSHSession + " The guest agent could not be put into the container."}
	stepGreet = step{MContainerAttach, EFailedAgentRead, "reach the guest agent",
		UserMessageInitializeSSHSession + " The guest agent in the container does not answer."}
	stepStop = step{MContainerStop, EContainerStopFailed, "stop the container",
		"The container could not be stopped."}
	stepRemove = step{MContainerRemove, EFailedContainerRemove, "remove the container",
		"The container could not be removed."}
	stepKill = step{MContainerSignal, EFailedContainerSignal, "signal the container",
		"The signal could not be delivered."}
	stepExecCreate = step{MExecCreate, EFailedExecCreate, "create the execution",
		"The program could not be started."}
	stepExecAttach = step{MExecAttach, EFailedExecAttach, "start the execution",
		"The program could not be started."}
	stepExecSignal = step{MExecSignal, EFailedExecSignal, "signal the program",
		"The signal could not be delivered."}
	stepResize = step{MResizing, EFailedResize, "resize the terminal",
		"The terminal's size could not be changed."}
	stepExitCode = step{MExitCode, EFetchingExitCodeFailed, "fetch the exit code",
		"The connection to the container was lost; it is not known how the program ended."}
)

// do makes an engine call: counted, logged, retried until ctx ends unless the
// engine has given its last word, and with its failure made an error for the
// log and the user.
func (p *provider) do(ctx context.Context, s step, call func(context.Context) error) error {
	p.log.Debug(s.name, "code", s.begin)
	err := engine.Retry(ctx, func(ctx context.Context) error { return p.count(call(ctx)) })
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// once is do without retries, for calls that must not be made twice.
func (p *provider) once(ctx context.Context, s step, call func(context.Context) error) error {
	p.log.Debug(s.name, "code", s.begin)
	if err := p.count(call(ctx)); err != nil {
		return s.failed(err)
	}
	return nil
}

func (p *provider) count(err error) error {
	p.requests.Inc()
	if err != nil && !errors.Is(err, context.Canceled) {
		p.failures.Inc()
	}
	return err
}

func (s step) failed(err error) *backend.Error {
	user := s.user
	switch {
	case errors.Is(err, engine.ErrUnavailable):
		user += " The container engine does not answer; try again later."
	case strings.Contains(strings.ToLower(err.Error()), "no space left on device"):
		user += " The container engine has no space left on its disk; tell whoever runs this server."
	}
	return &backend.Error{Code: s.fail, User: user, Message: "could not " + s.name, Err: err}
}

// Accept refuses subsystems that aren't configured, and in the form of
// NewDockerRun all commands where they are disabled. A forced command takes the
// place of whatever else has been asked for.
func (p *provider) Accept(program backend.Program) (backend.Program, error) {
	x := &p.config.Execution
	if x.ForceCommand != "" {
		return p.force(program), nil
	}
	switch program.Kind {
	case backend.KindExec:
		if x.disableCommand {
			return program, &backend.Error{Code: EProgramExecutionDisabled, User: "Running commands is disabled on this server."}
		}
	case backend.KindSubsystem:
		if _, ok := x.Subsystems[program.Command]; !ok {
			return program, &backend.Error{
				Code: ESubsystemNotSupported,
				User: fmt.Sprintf("The subsystem %q is not supported.", program.Command),
			}
		}
	}
	return program, nil
}

// force is the forced command, with the client's in its environment.
func (p *provider) force(program backend.Program) backend.Program {
	x := &p.config.Execution
	original := program.Command
	if program.Kind == backend.KindSubsystem {
		original = x.Subsystems[program.Command]
	}
	if original != "" {
		program.Env = append(program.Env, backend.EnvVar{Name: "SSH_ORIGINAL_COMMAND", Value: original})
	}
	program.Kind, program.Command = backend.KindExec, x.ForceCommand
	if x.ForceCommand == internalSFTP {
		program.Kind, program.Command = backend.KindSubsystem, "sftp"
	}
	return program
}

// Provision makes the container: started in connection mode, and ready to be
// attached to and started in session mode.
func (p *provider) Provision(ctx context.Context, l backend.Launch) (backend.Workload, error) {
	if err := p.checkLogin(l.Login); err != nil {
		return nil, err
	}
	if p.config.Execution.ImagePullPolicy == ImagePullPolicyAlways {
		if err := p.pull(ctx, l.Progress); err != nil {
			return nil, err
		}
	}
	if p.config.Execution.Agent == AgentInject {
		return p.provisionAgent(ctx, l)
	}
	c, err := p.create(ctx, l, nil)
	if err != nil {
		return nil, err
	}
	p.register.add(c.id, l.Login, false)
	if l.Program != nil {
		return &sessionContainer{madeContainer: c}, nil
	}
	startCtx, cancel := context.WithTimeout(ctx, p.config.Timeouts.ContainerStart)
	defer cancel()
	if err := c.start(startCtx, l.Progress); err != nil {
		c.discard(ctx)
		return nil, err
	}
	return &connectionContainer{madeContainer: c}, nil
}

// checkLogin refuses login names that can't be the user that they are to be: what
// is no name would be taken for a number.
func (p *provider) checkLogin(login backend.Login) error {
	if !strings.Contains(p.config.Execution.User, "%u") {
		return nil
	}
	name := login.Username
	if strings.Trim(name, "0123456789") != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r == '/' || r == 0x7f }) {
		return nil
	}
	return &backend.Error{Code: EConfigError, User: fmt.Sprintf("%q is not the name of a user.", name),
		Message: "the login name can't be a user of the container (execution.user)"}
}

// retrying is call with a word to the waiting user after a failure that will
// be tried again.
func retrying(progress func(string), call func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := call(ctx)
		if err != nil && !engine.Permanent(err) {
			progress("the container engine has a problem; trying again")
		}
		return err
	}
}

// consoleSizeAtStart says whether the engine makes a terminal with its size, or
// has to be told right after the start.
func (p *provider) consoleSizeAtStart(ctx context.Context) bool {
	info, err := p.engine.Info(ctx) // known since the first call
	return err == nil && info.SizedTerminals
}
