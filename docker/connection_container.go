package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/sshserver"
)

// connectionContainer runs an idle program, and the programs of all sessions
// of a connection beside it, each by the engine's exec.
type connectionContainer struct{ *madeContainer }

var _ backend.Workload = (*connectionContainer)(nil)

// Close stops the container, so that its idle program may clean up, and
// removes it.
func (c *connectionContainer) Close(ctx context.Context) error {
	err := c.p.once(ctx, stepStop, func(ctx context.Context) error {
		err := c.p.engine.StopContainer(ctx, c.id, hangupGrace)
		if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrConflict) {
			return nil // ended by itself, or is going to
		}
		return err
	})
	if err != nil {
		c.log.Info("could not stop the container; it will be killed", "error", err, "code", EContainerStopFailed)
	}
	return c.remove(ctx)
}

// Start starts a program with the engine's exec.
func (c *connectionContainer) Start(ctx context.Context, program backend.Program, streams backend.Streams) (backend.Execution, error) {
	argv := c.p.command(program)
	agent := c.p.config.Execution.Agent == AgentImage
	if agent {
		argv = append([]string{c.p.config.Execution.AgentPath, "console", "--pid", "--"}, argv...)
	}
	spec := engine.ExecSpec{Cmd: argv, Env: environment(program), TTY: program.Terminal != nil}
	if program.Terminal != nil {
		size := sizeOf(program.Terminal.Size)
		spec.Columns, spec.Rows = size.Columns, size.Rows
	}
	id, stream, err := c.exec(ctx, spec)
	if err != nil {
		return nil, err
	}
	e := &execution{
		c: c, id: id, stream: stream, terminal: program.Terminal,
		first:  newFirstOutput(streams.Stdout, spec.TTY, agent),
		output: make(chan error, 1),
		sized:  make(chan struct{}),
	}
	if spec.TTY && !c.p.consoleSizeAtStart(ctx) {
		c.p.removals.Go(func() { e.firstSize(context.WithoutCancel(ctx)) })
	} else {
		close(e.sized)
	}
	go func() {
		if agent {
			// What is typed before would be echoed by the terminal, and stand
			// before the process id.
			<-e.first.begun
		}
		copyInput(stream, streams.Stdin, program.Terminal, c.log)
	}()
	go func() {
		err := stream.CopyOutput(e.first, streams.Stderr)
		e.first.end()
		e.output <- err
	}()
	return e, nil
}

// exec creates an execution and starts it.
func (c *connectionContainer) exec(ctx context.Context, spec engine.ExecSpec) (id string, stream *engine.Stream, err error) {
	err = c.p.do(ctx, stepExecCreate, func(ctx context.Context) error {
		var err error
		id, err = c.p.engine.CreateExec(ctx, c.id, spec)
		return err
	})
	if err == nil {
		// Not to be repeated: the program may have been started even if the
		// answer was lost.
		err = c.p.once(ctx, stepExecAttach, func(ctx context.Context) error {
			var err error
			stream, err = c.p.engine.StartExec(ctx, id, spec)
			return err
		})
	}
	var failed *backend.Error
	if errors.As(err, &failed) {
		err = notStarted(step{fail: failed.Code, name: "start the program", user: failed.User}, failed.Err)
	}
	return id, stream, err
}

// notStarted is the error of a step when a program was not started; err holds
// the words of the engine or of its init.
func notStarted(s step, err error) *backend.Error {
	failed := s.failed(err)
	code := startFailure(err.Error())
	switch {
	case code != 0:
		failed.Exit, failed.User = uint32(code), cannotRun(code)
		failed.Message += "; see execution.shellCommand, execution.subsystems and execution.agentPath, and the command of the container"
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, engine.ErrConflict), strings.Contains(err.Error(), "stopped container"):
		failed.User = "The container of this connection has ended."
		failed.Message = "the container has ended; see whether execution.idleCommand stays in the foreground"
	}
	return failed
}

// cannotRun says why a program was not started; code is 126 or 127.
func cannotRun(code int) string {
	if code == 126 {
		return "The program can't be executed in this image."
	}
	return "The program is not in this image."
}

// execution is a program started by the engine's exec.
type execution struct {
	c        *connectionContainer
	id       string
	stream   *engine.Stream
	terminal *backend.Terminal // nil without one
	first    *firstOutput
	output   chan error  // capacity 1: how the copying of output ended
	ended    atomic.Bool // Wait has seen the program's end
	// sized is closed when the first size has been set: no other must come
	// before it.
	sized chan struct{}

	mu   sync.Mutex // for memory only
	sent []string   // signals that have been delivered
}

var _ backend.Execution = (*execution)(nil)

// firstSize sets the terminal's size as soon as the engine is ready for it.
func (e *execution) firstSize(ctx context.Context) {
	defer close(e.sized)
	ctx, cancel := context.WithTimeout(ctx, e.c.p.config.Timeouts.Window)
	defer cancel()
	if err := e.resize(ctx, e.terminal.Size); err != nil && !e.ended.Load() {
		e.c.log.Debug("the terminal keeps the engine's size", "error", err, "code", EFailedResize)
	}
}

// Resize changes the terminal's size.
func (e *execution) Resize(ctx context.Context, size backend.Size) error {
	select {
	case <-e.sized:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return e.resize(ctx, size)
}

func (e *execution) resize(ctx context.Context, size backend.Size) error {
	size = sizeOf(size)
	return e.c.p.do(ctx, stepResize, func(ctx context.Context) error {
		return e.c.p.engine.ResizeExec(ctx, e.id, size.Columns, size.Rows)
	})
}

// Break writes the terminal's interrupt character.
func (e *execution) Break(context.Context) error { return writeBreak(e.stream, e.terminal) }

// Signal runs the guest agent in the container to deliver a signal.
func (e *execution) Signal(ctx context.Context, name string) error {
	if !e.first.agent {
		return &backend.Error{
			Code: ECannotSendSignalNoAgent, User: stepExecSignal.user,
			Message: "signals need the guest agent; set execution.agent to image", Err: backend.ErrNoSignals,
		}
	}
	pid, err := e.first.waitPID(ctx)
	if err != nil {
		return &backend.Error{Code: EFailedSignalNoPID, User: stepExecSignal.user,
			Message: "the program's process id is not known", Err: err}
	}
	// Noted before it is sent: the program may be gone before the agent has
	// reported its success.
	e.mu.Lock()
	e.sent = append(e.sent, name)
	e.mu.Unlock()
	if err := e.c.signal(ctx, pid, name); err != nil {
		return err
	}
	e.c.log.Debug("delivered a signal", "signal", name, "code", MExecSignalSuccessful)
	return nil
}

// signal runs the agent's signal command.
func (c *connectionContainer) signal(ctx context.Context, pid int, name string) error {
	c.log.Debug("signal the program", "signal", name, "pid", pid, "code", MExecSignal)
	failed := func(err error) error {
		return &backend.Error{Code: EFailedExecSignal, User: stepExecSignal.user,
			Message: "could not deliver " + name, Err: err}
	}
	id, stream, err := c.exec(ctx, engine.ExecSpec{Cmd: []string{
		c.p.config.Execution.AgentPath, "signal", "--pid", fmt.Sprint(pid), "--signal", name}})
	if err != nil {
		return failed(err)
	}
	defer func() { _ = stream.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	said := &limited{max: 1024}
	if err := stream.CopyOutput(said, said); err != nil {
		return failed(err)
	}
	code, err := c.exitCode(ctx, id)
	if err != nil {
		return failed(err)
	}
	if code != 0 {
		return failed(fmt.Errorf("the agent has ended with code %d: %q", code, said.text))
	}
	return nil
}

// Wait returns the exit status when all output has been written.
func (e *execution) Wait(ctx context.Context) (sshserver.ExitStatus, error) {
	var broken error
	select {
	case broken = <-e.output:
	case <-ctx.Done():
		return sshserver.ExitStatus{}, context.Cause(ctx)
	}
	ask := ctx
	if broken != nil {
		e.c.log.Debug("the output has broken off", "error", broken, "code", EFailedOutputStream)
		if ctx.Err() != nil {
			return sshserver.ExitStatus{}, context.Cause(ctx)
		}
		if errors.Is(broken, engine.ErrUnavailable) {
			// So it is with a program that has not read all of its input, when it
			// ends. One that goes on is out of reach.
			var cancel context.CancelFunc
			ask, cancel = context.WithTimeoutCause(ctx, brokenFor, stepExitCode.failed(broken))
			defer cancel()
		}
	}
	code, err := e.c.exitCode(ask, e.id)
	if err != nil {
		return sshserver.ExitStatus{}, err
	}
	e.ended.Store(true)
	if err := e.first.verdict(stepExecAttach, code); err != nil {
		return sshserver.ExitStatus{}, err
	}
	e.mu.Lock()
	status := exitStatus(code, e.sent)
	e.mu.Unlock()
	if status.Code == uint32(128+signalNumbers["KILL"]) && status.Signal == "" && e.c.ends(ctx) {
		return sshserver.ExitStatus{}, &backend.Error{Code: EFetchingExitCodeFailed, Exit: status.Code,
			User: "The container of this connection has ended, and the program with it."}
	}
	return status, nil
}

// brokenFor is how soon after its streams have broken off a program must have ended
// for that to be the reason.
const brokenFor = 5 * time.Second

// endsWithin is how soon an engine knows of the end of a container, whose programs
// have been killed by that.
const endsWithin = 2 * time.Second

// ends says whether the container has ended, or is about to: so are those of an
// engine that answers no more.
func (c *connectionContainer) ends(ctx context.Context) bool {
	asked := func() (bool, error) {
		// A call that is cut off by endsWithin would look like an engine that is away.
		ctx, cancel := context.WithTimeout(ctx, c.p.config.Timeouts.HTTP)
		defer cancel()
		return c.p.engine.ContainerRuns(ctx, c.id)
	}
	for end := time.Now().Add(endsWithin); ; {
		runs, err := asked()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil && !runs || errors.Is(err, engine.ErrUnavailable):
			return true
		case time.Now().After(end):
			return err != nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exitCode waits for the end of an execution whose streams have ended. The
// streams of a program that closes its output end before it does.
func (c *connectionContainer) exitCode(ctx context.Context, id string) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		var state engine.ExecState
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, c.p.config.Timeouts.HTTP)
			defer cancel()
			return c.p.do(ctx, stepExitCode, func(ctx context.Context) error {
				var err error
				state, err = c.p.engine.InspectExec(ctx, id)
				return err
			})
		}()
		switch {
		case err != nil:
			return 0, err
		case !state.Running && state.ExitCode < 0:
			return 0, &backend.Error{Code: ENegativeExitCode, User: stepExitCode.user,
				Message: fmt.Sprintf("the engine reports the exit code %d", state.ExitCode)}
		case !state.Running:
			return state.ExitCode, nil
		}
		c.log.Debug("the program still runs", "code", EStillRunning)
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// Close hangs up on a program that still runs, then ends and at last kills it,
// as far as there is an agent to do it: without one, the end of its input is
// all that the program hears until the container ends.
func (e *execution) Close(ctx context.Context) error {
	defer func() { _ = e.stream.Close() }()
	if e.ended.Load() {
		return nil
	}
	if e.terminal == nil {
		_ = e.stream.CloseWrite()
	}
	if !e.first.agent || e.over(ctx, 0) {
		return nil
	}
	for _, name := range []string{"HUP", "TERM", "KILL"} {
		if err := e.Signal(ctx, name); err != nil {
			if e.over(ctx, 0) {
				return nil // it was faster
			}
			return err
		}
		if e.over(ctx, hangupGrace) {
			return nil
		}
	}
	return errors.New("the program does not end")
}

// over says whether the program ends within a time.
func (e *execution) over(ctx context.Context, within time.Duration) bool {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		state, err := e.c.p.engine.InspectExec(ctx, e.id)
		if err == nil && !state.Running || errors.Is(err, engine.ErrNotFound) {
			return true
		}
		select {
		case <-wait.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}
