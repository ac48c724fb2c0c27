package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

// exitBackend is the exit code of a session whose program could not be run or
// was lost. ssh gives the same for its own errors, so that scripts can tell it
// from what programs return.
const exitBackend = 255

// phase is how far a session has come. It only ever grows.
type phase uint8

const (
	phaseIdle     phase = iota // env and pty requests are taken
	phaseStarting              // the program has been requested
	phaseRunning               // execution is set
	phaseEnded
)

// session serves one session channel: at most one program.
type session struct {
	c   *Connection
	log *slog.Logger

	// ctx ends when the channel closes, or its connection.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu        sync.Mutex // for memory only
	phase     phase
	kind      Kind      // of the program, once there is one
	stderr    io.Writer // the channel's, likewise
	env       []EnvVar
	terminal  *Terminal
	resized   bool // terminal.Size is newer than the program's
	resizing  bool // somebody passes it on
	forwards  forwards
	execution Execution
	// begun is closed when a program that was starting runs, or has come to
	// nothing; nil before one is requested.
	begun chan struct{}
	// warned says that the user knows of the server's end; warning counts the
	// writing of that, which may be waiting for the client.
	warned  bool
	warning sync.WaitGroup
}

// enter takes the session into a later phase.
func (s *session) enter(p phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseStarting {
		close(s.begun)
	}
	s.phase = p
}

// errChannelClosed is the cause of what is cancelled with a channel.
var errChannelClosed = errors.New("the channel has been closed")

// OnUnsupportedChannelRequest logs the request.
func (s *session) OnUnsupportedChannelRequest(_ uint64, requestType string, _ []byte) {
	s.log.Debug("refused a channel request of unknown type", "type", requestType)
}

// OnFailedDecodeChannelRequest logs the request.
func (s *session) OnFailedDecodeChannelRequest(_ uint64, requestType string, _ []byte, reason error) {
	s.log.Info("refused a channel request that cannot be parsed", "type", requestType, "error", reason)
}

// OnEnvRequest keeps a variable for the program.
func (s *session) OnEnvRequest(_ uint64, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseIdle {
		return s.alreadyRunning()
	}
	env, err := setEnv(s.env, name, value)
	if err != nil {
		return fmt.Errorf("environment variable refused: %w", err)
	}
	s.env = env
	return nil
}

// OnPtyRequest keeps the terminal for the program.
func (s *session) OnPtyRequest(_ uint64, term string, columns, rows, width, height uint32, modes []byte) error {
	if err := validTerm(term); err != nil {
		return fmt.Errorf("terminal refused: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseIdle {
		return s.alreadyRunning()
	}
	s.terminal = &Terminal{Type: term, Size: Size{columns, rows, width, height}, Modes: modes}
	return nil
}

// OnShell starts the user's shell.
func (s *session) OnShell(_ uint64, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	return s.begin(Program{Kind: KindShell}, Streams{stdin, stdout, stderr}, onExit)
}

// OnExecRequest starts a command line.
func (s *session) OnExecRequest(_ uint64, program string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	switch {
	case strings.IndexByte(program, 0) >= 0:
		return s.c.fail("EXEC_CREATE_FAILED", "The command holds a NUL character, which no program can be given.", nil)
	case len(program) > MaxCommandBytes:
		return s.c.fail("EXEC_CREATE_FAILED",
			fmt.Sprintf("The command is longer than %d bytes; send it on standard input instead.", MaxCommandBytes), nil)
	}
	return s.begin(Program{Kind: KindExec, Command: program}, Streams{stdin, stdout, stderr}, onExit)
}

// OnSubsystem starts a subsystem.
func (s *session) OnSubsystem(_ uint64, subsystem string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	return s.begin(Program{Kind: KindSubsystem, Command: subsystem}, Streams{stdin, stdout, stderr}, onExit)
}

// begin takes a program, or refuses it for a reason that is known at once, and
// leaves the rest to run.
func (s *session) begin(p Program, streams Streams, onExit func(sshserver.ExitStatus)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseIdle {
		return s.alreadyRunning()
	}
	p.Env = slices.Concat(s.env, s.c.describe())
	if s.terminal != nil {
		t := *s.terminal
		p.Terminal = &t
	}
	p, err := s.c.options.Provider.Accept(p)
	if err != nil {
		return err
	}
	s.phase, s.begun = phaseStarting, make(chan struct{})
	s.kind, s.stderr = p.Kind, streams.Stderr
	s.c.work.Go(func() { s.run(p, streams, onExit) })
	return nil
}

// drainer is an Execution that says when its output has ended, so that nobody needs
// to wait for that in a goroutine of its own.
type drainer interface {
	whenDrained(ctx context.Context, f func())
}

// run provisions, starts, waits, and reports the end through onExit. What takes
// time to end and to remove it leaves for after that, since the user waits.
func (s *session) run(p Program, streams Streams, onExit func(sshserver.ExitStatus)) {
	exit := func(status sshserver.ExitStatus) {
		s.enter(phaseEnded)
		s.warning.Wait()
		onExit(status)
	}
	failed := func(err error) {
		s.report(err, streams.Stderr, p.Terminal != nil)
		var coded *Error
		if errors.As(err, &coded) && coded.Exit != 0 {
			exit(sshserver.ExitStatus{Code: coded.Exit})
			return
		}
		exit(sshserver.ExitStatus{Code: exitBackend})
	}

	n := newNotice(streams.Stderr, p.Terminal != nil, noticeDelay)
	shared, owned := s.c.claim(s.ctx, &p)
	release := func() {}
	if owned {
		release = func() { s.c.end(shared) }
	}
	w, err := shared.wait(s.ctx, n)
	n.stop()
	if err != nil {
		failed(err)
		release()
		return
	}
	unforward := s.forward(w, &p)

	execution, err := s.start(w, p, streams)
	if err != nil {
		failed(err)
		unforward()
		release()
		return
	}
	wait := func() {
		status, err := execution.Wait(s.ctx)
		if err != nil {
			failed(err)
		} else {
			s.log.Debug("the program has ended", "exit", status.Code, "signal", status.Signal)
			exit(status)
		}
		s.end(execution)
		unforward()
		release()
	}
	if e, ok := execution.(drainer); ok {
		s.c.work.Add(1)
		e.whenDrained(s.ctx, func() {
			defer s.c.work.Done()
			wait()
		})
		return
	}
	wait()
}

// start starts the program, and from then on passes on changes of the window.
func (s *session) start(w Workload, p Program, streams Streams) (Execution, error) {
	if s.terminal != nil {
		s.mu.Lock()
		p.Terminal.Size = s.terminal.Size // the newest
		s.resized = false
		s.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.c.options.Start)
	defer cancel()
	execution, err := w.Start(ctx, p, streams)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.execution = execution
	s.mu.Unlock()
	s.enter(phaseRunning)
	s.warn()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resize()
	return execution, nil
}

// end closes an execution. A program that still runs gets the time for its
// hang-up, and less of it when the whole connection has ended.
func (s *session) end(execution Execution) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.c.options.Stop)
	defer cancel()
	stop := context.AfterFunc(s.c.ctx, func() {
		t := time.NewTimer(s.c.options.HangupGrace)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
			cancel()
		}
	})
	defer stop()
	if err := execution.Close(ctx); err != nil && s.c.ctx.Err() == nil {
		s.log.Warn("a program may have been left running in the container", "error", err, "code", Code(err))
	}
	s.cancel(errChannelClosed)
}

// resize has the terminal's newest size passed on to the program, if there is one.
// Called with the lock.
func (s *session) resize() {
	if s.resized && !s.resizing && s.phase == phaseRunning {
		s.resizing = true
		s.c.work.Go(s.followWindow)
	}
}

// followWindow passes the terminal's size on until the program has the newest.
func (s *session) followWindow() {
	for {
		s.mu.Lock()
		execution, size := s.execution, s.terminal.Size
		if !s.resized || s.phase == phaseEnded || s.ctx.Err() != nil {
			s.resizing = false
			s.mu.Unlock()
			return
		}
		s.resized = false
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(s.ctx, s.c.options.Window)
		err := execution.Resize(ctx, size)
		cancel()
		if err != nil && s.ctx.Err() == nil {
			s.log.Info("the terminal's size could not be changed", "error", err, "code", Code(err))
		}
	}
}

// OnWindow takes the new size; it is passed on by followWindow.
func (s *session) OnWindow(_ uint64, columns, rows, width, height uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal == nil || s.phase != phaseStarting && s.phase != phaseRunning {
		return s.notRunning()
	}
	s.terminal.Size = Size{columns, rows, width, height}
	s.resized = true
	s.resize()
	return nil
}

// OnSignal delivers a signal to the running program.
func (s *session) OnSignal(_ uint64, signal string) error {
	return s.signal(s.ctx, signal)
}

func (s *session) signal(ctx context.Context, name string) error {
	if !ValidSignal(name) {
		return fmt.Errorf("%q is not a signal of RFC 4254", name)
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.options.Signal)
	defer cancel()
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if begun != nil {
		// A program that is starting may run before this side has heard of it.
		select {
		case <-begun:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	execution, running := s.execution, s.phase == phaseRunning
	s.mu.Unlock()
	if !running {
		return s.notRunning()
	}
	err := execution.Signal(ctx, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseEnded {
		return nil // it has come to what the signal was meant for
	}
	return err
}

// warn tells the user at the session's terminal, once, when the server is going
// down. Without a terminal nothing is said: there standard error is read by
// programs, and those can do nothing about it.
func (s *session) warn() {
	s.c.mu.Lock()
	draining, until := s.c.draining, s.c.until
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !draining || s.warned || s.terminal == nil || s.phase != phaseRunning {
		return
	}
	s.warned = true
	text := "the server is going down"
	if !until.IsZero() {
		text += fmt.Sprintf(" in %v", max(0, time.Until(until).Round(time.Second)))
	}
	s.warning.Go(func() { _, _ = fmt.Fprintf(s.stderr, "\r\nberth: %s\r\n", text) })
}

// terminate asks the program to end, at the server's shutdown. A shell that
// somebody types at takes no notice of TERM (sh(1p)); when its terminal hangs up
// it ends, with what it runs.
func (s *session) terminate(ctx context.Context) {
	s.mu.Lock()
	name := "TERM"
	if s.terminal != nil && s.kind == KindShell {
		name = "HUP"
	}
	s.mu.Unlock()
	err := s.signal(ctx, name)
	if err != nil && !errors.Is(err, ErrNoSignals) && s.ctx.Err() == nil {
		s.log.Debug("the program could not be told of the shutdown", "error", err, "code", Code(err))
	}
}

// OnBreak interrupts what runs in the foreground of the terminal.
func (s *session) OnBreak(uint64, uint32) error {
	s.mu.Lock()
	execution, running := s.execution, s.phase == phaseRunning
	s.mu.Unlock()
	if s.terminal == nil || !running {
		return s.notRunning()
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.c.options.Signal)
	defer cancel()
	return execution.Break(ctx)
}

// OnClose ends the program; run sees to the rest.
func (s *session) OnClose() {
	s.cancel(errChannelClosed)
	s.c.mu.Lock()
	delete(s.c.sessions, s)
	s.c.mu.Unlock()
}

// alreadyRunning and notRunning refuse requests out of order. Called with or
// without the lock.
func (s *session) alreadyRunning() error {
	return s.c.fail("PROGRAM_ALREADY_RUNNING", "A program is already running in this session.", nil)
}

func (s *session) notRunning() error {
	return s.c.fail("PROGRAM_NOT_RUNNING", "No program is running in this session.", nil)
}

// report tells the user in words, and the log in full, why there is no program.
func (s *session) report(err error, stderr io.Writer, terminal bool) {
	if s.ctx.Err() != nil {
		s.log.Debug("the session ended before its program", "error", err)
		return
	}
	s.log.Error("the session has failed", "error", err, "code", Code(err))
	text := "The session has failed."
	var words sshserver.UserMessage
	if errors.As(err, &words) {
		text = words.UserMessage()
	}
	end := "\n"
	if terminal {
		end = "\r\n"
	}
	// A client that does not read would keep this waiting: it ends with the
	// channel.
	_, _ = fmt.Fprintf(stderr, "berth: %s (connection %s)%s", text, s.c.login.ConnectionID, end)
}

// ValidSignal says whether RFC 4254 section 6.10 lists the name.
func ValidSignal(name string) bool {
	switch name {
	case "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2":
		return true
	}
	return false
}
