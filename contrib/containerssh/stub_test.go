package containerssh_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/berth-ssh/berth/sshserver"
)

// stub is a handler of ours for one connection, with programs that are functions.
type stub struct {
	auth func(sshserver.Challenge) bool
	run  func(command string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error

	mu     sync.Mutex
	logins []string
	left   bool
}

func (s *stub) OnNetworkConnection(net.TCPAddr, string) (sshserver.NetworkConnectionHandler, error) {
	return s, nil
}

func (s *stub) OnAuthNone(string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, nil
}

func (s *stub) OnAuthPassword(_ string, password []byte) (sshserver.AuthResponse, error) {
	if string(password) == "right" {
		return sshserver.AuthResponseSuccess, nil
	}
	return sshserver.AuthResponseFailure, nil
}

func (s *stub) OnAuthPubKey(string, string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseSuccess, nil
}

func (s *stub) OnAuthKeyboardInteractive(_ string, challenge sshserver.Challenge) (sshserver.AuthResponse, error) {
	if s.auth == nil {
		return sshserver.AuthResponseUnavailable, nil
	}
	if s.auth(challenge) {
		return sshserver.AuthResponseSuccess, nil
	}
	return sshserver.AuthResponseFailure, errors.New("wrong")
}

func (s *stub) OnHandshakeFailed(error) {}

func (s *stub) OnHandshakeSuccess(username string) (sshserver.SSHConnectionHandler, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins = append(s.logins, username)
	return s, nil
}

func (s *stub) OnDisconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
}

func (s *stub) OnShutdown(context.Context) {}

func (s *stub) OnUnsupportedGlobalRequest(uint64, string, []byte) {}

func (s *stub) OnUnsupportedChannel(uint64, string, []byte) {}

func (s *stub) OnSessionChannel(uint64, []byte) (sshserver.SessionChannelHandler, error) {
	if s.run == nil {
		return nil, &sshserver.ChannelRejection{Reason: sshserver.ResourceShortage, Message: "No room.", Err: errors.New("full")}
	}
	return stubSession{s}, nil
}

type stubSession struct{ *stub }

func (s stubSession) OnUnsupportedChannelRequest(uint64, string, []byte) {}

func (s stubSession) OnFailedDecodeChannelRequest(uint64, string, []byte, error) {}

func (s stubSession) OnEnvRequest(uint64, string, string) error { return nil }

func (s stubSession) OnPtyRequest(uint64, string, uint32, uint32, uint32, uint32, []byte) error {
	return nil
}

func (s stubSession) OnExecRequest(_ uint64, command string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	return s.run(command, stdin, stdout, stderr, onExit)
}

func (s stubSession) OnShell(_ uint64, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	return s.run("", stdin, stdout, stderr, onExit)
}

func (s stubSession) OnSubsystem(_ uint64, _ string, stdin io.Reader, stdout, stderr io.Writer, onExit func(sshserver.ExitStatus)) error {
	return s.run("", stdin, stdout, stderr, onExit)
}

func (s stubSession) OnSignal(uint64, string) error { return nil }

func (s stubSession) OnBreak(uint64, uint32) error { return nil }

func (s stubSession) OnWindow(uint64, uint32, uint32, uint32, uint32) error { return nil }

func (s stubSession) OnClose() {}
