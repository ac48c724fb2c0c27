package containerssh

import (
	"errors"
	"io"
	"sync"

	original "github.com/containerssh/sshserver"

	"github.com/berth-ssh/berth/sshserver"
)

// exitUnknown is the exit code of a session whose channel its handler has closed
// without a word on the program's end.
const exitUnknown = 255

// fromSession serves one session channel with a handler of the original's.
type fromSession struct {
	c       *fromConnection
	theirs  original.SessionChannelHandler
	channel fromChannel
}

// OnUnsupportedChannelRequest passes on to theirs.
func (s *fromSession) OnUnsupportedChannelRequest(requestID uint64, requestType string, payload []byte) {
	s.theirs.OnUnsupportedChannelRequest(requestID, requestType, payload)
}

// OnFailedDecodeChannelRequest passes on to theirs.
func (s *fromSession) OnFailedDecodeChannelRequest(requestID uint64, requestType string, payload []byte, reason error) {
	s.theirs.OnFailedDecodeChannelRequest(requestID, requestType, payload, reason)
}

// OnEnvRequest passes on to theirs.
func (s *fromSession) OnEnvRequest(requestID uint64, name, value string) error {
	return s.theirs.OnEnvRequest(requestID, name, value)
}

// OnPtyRequest passes on to theirs.
func (s *fromSession) OnPtyRequest(requestID uint64, term string, columns, rows, width, height uint32, modeList []byte) error {
	return s.theirs.OnPtyRequest(requestID, term, columns, rows, width, height, modeList)
}

// OnExecRequest passes on to theirs.
func (s *fromSession) OnExecRequest(requestID uint64, command string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	s.channel.use(stdin, stdout, stderr, onExit)
	return s.theirs.OnExecRequest(requestID, command)
}

// OnShell passes on to theirs.
func (s *fromSession) OnShell(requestID uint64, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	s.channel.use(stdin, stdout, stderr, onExit)
	return s.theirs.OnShell(requestID)
}

// OnSubsystem passes on to theirs.
func (s *fromSession) OnSubsystem(requestID uint64, subsystem string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	s.channel.use(stdin, stdout, stderr, onExit)
	return s.theirs.OnSubsystem(requestID, subsystem)
}

// OnSignal passes on to theirs.
func (s *fromSession) OnSignal(requestID uint64, signal string) error {
	return s.theirs.OnSignal(requestID, signal)
}

// OnBreak is not known to the original.
func (s *fromSession) OnBreak(uint64, uint32) error {
	return errors.New("the handler knows no break")
}

// OnWindow passes on to theirs.
func (s *fromSession) OnWindow(requestID uint64, columns, rows, width, height uint32) error {
	return s.theirs.OnWindow(requestID, columns, rows, width, height)
}

// OnClose passes on to theirs.
func (s *fromSession) OnClose() {
	s.c.closed(s.theirs)
	s.theirs.OnClose()
}

// fromChannel is the session channel of a handler of the original's. It has
// streams from the first request for a program on.
type fromChannel struct {
	mu             sync.Mutex // for memory only
	stdin          io.Reader
	stdout, stderr io.Writer
	onExit         func(sshserver.ExitStatus)
	exit           *sshserver.ExitStatus // what the program's end will be reported as
}

var _ original.SessionChannel = (*fromChannel)(nil)

func (c *fromChannel) use(stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stdin, c.stdout, c.stderr, c.onExit = stdin, stdout, stderr, onExit
}

// Stdin is the client's input.
func (c *fromChannel) Stdin() io.Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stdin
}

// Stdout takes the program's output.
func (c *fromChannel) Stdout() io.Writer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stdout
}

// Stderr takes the program's messages.
func (c *fromChannel) Stderr() io.Writer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr
}

// ExitStatus notes the exit code. The first word on the program's end counts.
func (c *fromChannel) ExitStatus(code uint32) { c.ended(sshserver.ExitStatus{Code: code}) }

// ExitSignal notes that a signal has ended the program. Our server sends no
// language tag.
func (c *fromChannel) ExitSignal(signal string, coreDumped bool, errorMessage string, _ string) {
	c.ended(sshserver.ExitStatus{Signal: signal, CoreDumped: coreDumped, Message: errorMessage})
}

func (c *fromChannel) ended(status sshserver.ExitStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exit == nil {
		c.exit = &status
	}
}

// CloseWrite needs no action: our server sends the end of file when the
// program's end has been reported.
func (c *fromChannel) CloseWrite() error { return nil }

// Close reports the program's end, once.
func (c *fromChannel) Close() error {
	c.mu.Lock()
	onExit, status := c.onExit, sshserver.ExitStatus{Code: exitUnknown}
	c.onExit = nil
	if c.exit != nil {
		status = *c.exit
	}
	c.mu.Unlock()
	if onExit != nil {
		onExit(status)
	}
	return nil
}
