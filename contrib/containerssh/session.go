package containerssh

import (
	"context"
	"sync"

	original "github.com/containerssh/sshserver"

	"github.com/berth-ssh/berth/sshserver"
)

// session serves one session channel of the original's server.
type session struct {
	ours    sshserver.SessionChannelHandler
	channel original.SessionChannel
	exits   *sync.WaitGroup
}

// OnUnsupportedChannelRequest passes on to ours.
func (s *session) OnUnsupportedChannelRequest(requestID uint64, requestType string, payload []byte) {
	s.ours.OnUnsupportedChannelRequest(requestID, requestType, payload)
}

// OnFailedDecodeChannelRequest passes on to ours.
func (s *session) OnFailedDecodeChannelRequest(requestID uint64, requestType string, payload []byte, reason error) {
	s.ours.OnFailedDecodeChannelRequest(requestID, requestType, payload, reason)
}

// OnEnvRequest passes on to ours.
func (s *session) OnEnvRequest(requestID uint64, name, value string) error {
	return Message(s.ours.OnEnvRequest(requestID, name, value))
}

// OnPtyRequest passes on to ours.
func (s *session) OnPtyRequest(requestID uint64, term string, columns, rows, width, height uint32, modeList []byte) error {
	return Message(s.ours.OnPtyRequest(requestID, term, columns, rows, width, height, modeList))
}

// OnExecRequest runs a command line.
func (s *session) OnExecRequest(requestID uint64, command string) error {
	return s.start(func(p *program) error {
		return s.ours.OnExecRequest(requestID, command, p.stdin, p.stdout, p.stderr, p.onExit)
	})
}

// OnShell runs the user's shell.
func (s *session) OnShell(requestID uint64) error {
	return s.start(func(p *program) error {
		return s.ours.OnShell(requestID, p.stdin, p.stdout, p.stderr, p.onExit)
	})
}

// OnSubsystem runs a subsystem.
func (s *session) OnSubsystem(requestID uint64, subsystem string) error {
	return s.start(func(p *program) error {
		return s.ours.OnSubsystem(requestID, subsystem, p.stdin, p.stdout, p.stderr, p.onExit)
	})
}

// OnSignal passes on to ours.
func (s *session) OnSignal(requestID uint64, signal string) error {
	return Message(s.ours.OnSignal(requestID, signal))
}

// OnWindow passes on to ours.
func (s *session) OnWindow(requestID uint64, columns, rows, width, height uint32) error {
	return Message(s.ours.OnWindow(requestID, columns, rows, width, height))
}

// OnClose passes on to ours.
func (s *session) OnClose() { s.ours.OnClose() }

// OnShutdown needs no action: the network connection's does it for all.
func (s *session) OnShutdown(context.Context) {}
