package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/sshserver"
)

// sessionContainer runs one program as the container's own.
type sessionContainer struct{ *madeContainer }

var _ backend.Workload = (*sessionContainer)(nil)

// Close kills and removes the container.
func (c *sessionContainer) Close(ctx context.Context) error { return c.remove(ctx) }

// Start attaches to the container and starts it, in this order so that no byte
// is lost.
func (c *sessionContainer) Start(ctx context.Context, program backend.Program, streams backend.Streams) (backend.Execution, error) {
	startCtx, cancel := context.WithTimeout(ctx, c.p.config.Timeouts.ContainerStart)
	defer cancel()

	var stream *engine.Stream
	err := c.p.do(startCtx, stepAttach, func(ctx context.Context) error {
		var err error
		stream, err = c.p.engine.AttachContainer(ctx, c.id, program.Terminal != nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	// The wait outlives the start: it ends with the container, or with cancel.
	waitCtx, stopWait := context.WithCancel(context.WithoutCancel(ctx))
	exited, err := c.p.engine.WaitContainer(waitCtx, c.id)
	if c.p.count(err) != nil {
		err = stepExitCode.failed(err)
	} else {
		err = c.start(startCtx, func(string) {})
	}
	if err != nil {
		stopWait()
		_ = stream.Close()
		var failed *backend.Error
		if errors.As(err, &failed) && failed.Exit != 0 {
			failed.User = cannotRun(int(failed.Exit))
		}
		return nil, err
	}
	// An engine's init says where the terminal or standard error is that there
	// is no program.
	stdout, stderr := streams.Stdout, streams.Stderr
	first := newFirstOutput(stderr, false, false)
	if program.Terminal != nil {
		first.next, stdout = stdout, first
	} else {
		stderr = first
	}
	a := &attachment{
		c: c, stream: stream, terminal: program.Terminal, first: first,
		output: make(chan error, 1), exited: make(chan struct{}), stopWait: stopWait,
	}
	go func() {
		a.result = <-exited
		close(a.exited)
	}()
	if program.Terminal != nil && !c.p.consoleSizeAtStart(ctx) {
		if err := a.Resize(startCtx, program.Terminal.Size); err != nil {
			c.log.Debug("the terminal keeps the engine's size", "error", err, "code", EFailedResize)
		}
	}
	go copyInput(stream, streams.Stdin, program.Terminal, c.log)
	go func() {
		err := stream.CopyOutput(stdout, stderr)
		first.end()
		a.output <- err
	}()
	return a, nil
}

// attachment is a container's own program.
type attachment struct {
	c        *sessionContainer
	stream   *engine.Stream
	terminal *backend.Terminal // nil without one
	first    *firstOutput
	output   chan error // capacity 1: how the copying of output ended

	exited   chan struct{} // closed when result is set
	result   engine.ExitResult
	stopWait context.CancelFunc
	ended    atomic.Bool // Wait has seen the program's end

	mu   sync.Mutex // for memory only
	sent []string   // signals that have been delivered
}

var _ backend.Execution = (*attachment)(nil)

// Resize changes the terminal's size.
func (a *attachment) Resize(ctx context.Context, size backend.Size) error {
	size = sizeOf(size)
	return a.c.p.do(ctx, stepResize, func(ctx context.Context) error {
		return a.c.p.engine.ResizeContainer(ctx, a.c.id, size.Columns, size.Rows)
	})
}

// Break writes the terminal's interrupt character.
func (a *attachment) Break(context.Context) error { return writeBreak(a.stream, a.terminal) }

// Signal has the engine deliver a signal to the container's program. That
// needs no agent.
func (a *attachment) Signal(ctx context.Context, name string) error {
	// Noted before it is sent: the program may be gone before the answer.
	a.mu.Lock()
	a.sent = append(a.sent, name)
	a.mu.Unlock()
	return a.c.p.do(ctx, stepKill, func(ctx context.Context) error {
		return a.c.p.engine.KillContainer(ctx, a.c.id, "SIG"+name)
	})
}

// Wait returns the exit status when all output has been written.
func (a *attachment) Wait(ctx context.Context) (sshserver.ExitStatus, error) {
	var broken error
	select {
	case broken = <-a.output:
	case <-ctx.Done():
		return sshserver.ExitStatus{}, context.Cause(ctx)
	}
	lost := make(<-chan time.Time)
	if broken != nil {
		a.c.log.Debug("the output has broken off", "error", broken, "code", EFailedOutputStream)
		if ctx.Err() != nil {
			return sshserver.ExitStatus{}, context.Cause(ctx)
		}
		if errors.Is(broken, engine.ErrUnavailable) {
			lost = time.After(brokenFor)
		}
	}
	select {
	case <-a.exited:
	case <-lost:
		return sshserver.ExitStatus{}, stepExitCode.failed(broken)
	case <-ctx.Done():
		return sshserver.ExitStatus{}, context.Cause(ctx)
	}
	switch {
	case a.result.Err != nil:
		return sshserver.ExitStatus{}, stepExitCode.failed(a.result.Err)
	case a.result.Exit.Message != "":
		return sshserver.ExitStatus{}, stepExitCode.failed(errors.New(a.result.Exit.Message))
	case a.result.Exit.Code < 0:
		return sshserver.ExitStatus{}, &backend.Error{Code: ENegativeExitCode, User: stepExitCode.user,
			Message: fmt.Sprintf("the engine reports the exit code %d", a.result.Exit.Code)}
	}
	a.ended.Store(true)
	if err := a.first.verdict(stepStart, a.result.Exit.Code); err != nil {
		return sshserver.ExitStatus{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return exitStatus(a.result.Exit.Code, a.sent), nil
}

// Close hangs up on a program that still runs, then ends it. What does not end
// is killed with the container.
func (a *attachment) Close(ctx context.Context) error {
	defer a.stopWait()
	defer func() { _ = a.stream.Close() }()
	if a.ended.Load() {
		return nil
	}
	for _, name := range []string{"HUP", "TERM"} {
		err := a.c.p.once(ctx, stepKill, func(ctx context.Context) error {
			return a.c.p.engine.KillContainer(ctx, a.c.id, "SIG"+name)
		})
		if err != nil {
			return nil // ended, or out of reach; removal will tell
		}
		t := time.NewTimer(hangupGrace)
		select {
		case <-a.exited:
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
	return nil
}
