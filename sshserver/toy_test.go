//go:build unix

package sshserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

// toy is a handler for tests: it runs programs on this machine with /bin/sh.
// The hooks replace parts of it.
type toy struct {
	// pubKeys are the lines that may log in; empty means every key.
	pubKeys []string
	hooks   toyHooks

	mu     sync.Mutex
	events []string

	connections, disconnects, opens, closes atomic.Int64
}

type toyHooks struct {
	network   func(client net.TCPAddr, id string) error
	login     func(user string) error
	open      func(channelID uint64) error
	start     func(s *toySession, kind, what string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error
	request   func(s *toySession, kind string) error
	onClose   func(s *toySession)
	onDrain   func(until time.Time)
	onDisc    func()
	onStop    func(context.Context)
	pubKey    func(user, key string) (sshserver.AuthResponse, error)
	password  func(user string, password []byte) (sshserver.AuthResponse, error)
	keyboard  func(user string, ask sshserver.Challenge) (sshserver.AuthResponse, error)
	none      func(user string) (sshserver.AuthResponse, error)
	handshake func(error)
	dial      func(ctx context.Context, to, from sshserver.Address) (sshserver.Conn, error)
	listen    func(ctx context.Context, at sshserver.Address) (sshserver.Listener, error)
}

func (t *toy) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, fmt.Sprintf(format, args...))
}

func (t *toy) log() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.events...)
}

func (t *toy) count(event string) int {
	n := 0
	for _, e := range t.log() {
		if e == event {
			n++
		}
	}
	return n
}

func (t *toy) OnNetworkConnection(client net.TCPAddr, id string) (sshserver.NetworkConnectionHandler, error) {
	if t.hooks.network != nil {
		if err := t.hooks.network(client, id); err != nil {
			return nil, err
		}
	}
	t.connections.Add(1)
	return &toyConnection{toy: t}, nil
}

type toyConnection struct {
	toy      *toy
	sessions sync.Map // *toySession
}

func (c *toyConnection) OnAuthNone(user string) (sshserver.AuthResponse, error) {
	if h := c.toy.hooks.none; h != nil {
		return h(user)
	}
	return sshserver.AuthResponseFailure, nil
}

func (c *toyConnection) OnAuthPassword(user string, password []byte) (sshserver.AuthResponse, error) {
	if h := c.toy.hooks.password; h != nil {
		return h(user, password)
	}
	return sshserver.AuthResponseFailure, nil
}

func (c *toyConnection) OnAuthPubKey(user, key string) (sshserver.AuthResponse, error) {
	c.toy.note("pubkey %s", user)
	if h := c.toy.hooks.pubKey; h != nil {
		return h(user, key)
	}
	if len(c.toy.pubKeys) == 0 {
		return sshserver.AuthResponseSuccess, nil
	}
	for _, k := range c.toy.pubKeys {
		if k == key {
			return sshserver.AuthResponseSuccess, nil
		}
	}
	return sshserver.AuthResponseFailure, errors.New("unknown key")
}

func (c *toyConnection) OnAuthKeyboardInteractive(user string, ask sshserver.Challenge) (sshserver.AuthResponse, error) {
	if h := c.toy.hooks.keyboard; h != nil {
		return h(user, ask)
	}
	return sshserver.AuthResponseFailure, nil
}

func (c *toyConnection) OnHandshakeFailed(reason error) {
	c.toy.note("handshake failed")
	if h := c.toy.hooks.handshake; h != nil {
		h(reason)
	}
}

func (c *toyConnection) OnHandshakeSuccess(user string) (sshserver.SSHConnectionHandler, error) {
	c.toy.note("login %s", user)
	if h := c.toy.hooks.login; h != nil {
		if err := h(user); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *toyConnection) OnDisconnect() {
	if h := c.toy.hooks.onDisc; h != nil {
		h()
	}
	c.toy.note("disconnect")
	c.toy.disconnects.Add(1)
}

func (c *toyConnection) OnDrain(until time.Time) {
	c.toy.note("drain")
	if h := c.toy.hooks.onDrain; h != nil {
		h(until)
	}
}

func (c *toyConnection) OnShutdown(ctx context.Context) {
	c.toy.note("shutdown")
	if h := c.toy.hooks.onStop; h != nil {
		h(ctx)
		return
	}
	c.sessions.Range(func(key, _ any) bool {
		key.(*toySession).signal(syscall.SIGTERM)
		return true
	})
}

func (c *toyConnection) OnUnsupportedGlobalRequest(_ uint64, kind string, _ []byte) {
	c.toy.note("global %s", kind)
}

func (c *toyConnection) OnUnsupportedChannel(_ uint64, kind string, _ []byte) {
	c.toy.note("channel %s", kind)
}

func (c *toyConnection) OnDial(ctx context.Context, _ uint64, to, from sshserver.Address) (sshserver.Conn, error) {
	if h := c.toy.hooks.dial; h != nil {
		return h(ctx, to, from)
	}
	return nil, errors.New("no forwards")
}

func (c *toyConnection) OnListen(ctx context.Context, _ uint64, at sshserver.Address) (sshserver.Listener, error) {
	if h := c.toy.hooks.listen; h != nil {
		return h(ctx, at)
	}
	return nil, errors.New("no forwards")
}

func (c *toyConnection) OnSessionChannel(id uint64, _ []byte) (sshserver.SessionChannelHandler, error) {
	if h := c.toy.hooks.open; h != nil {
		if err := h(id); err != nil {
			return nil, err
		}
	}
	c.toy.opens.Add(1)
	s := &toySession{toy: c.toy, connection: c, id: id}
	c.sessions.Store(s, nil)
	return s, nil
}

type toySession struct {
	toy        *toy
	connection *toyConnection
	id         uint64
	env        []string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (s *toySession) request(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	s.toy.note("%s", what)
	if h := s.toy.hooks.request; h != nil {
		return h(s, what)
	}
	return nil
}

func (s *toySession) OnUnsupportedChannelRequest(_ uint64, kind string, _ []byte) {
	s.toy.note("unsupported %s", kind)
}

func (s *toySession) OnFailedDecodeChannelRequest(_ uint64, kind string, _ []byte, _ error) {
	s.toy.note("malformed %s", kind)
}

func (s *toySession) OnEnvRequest(_ uint64, name, value string) error {
	s.env = append(s.env, name+"="+value)
	return s.request("env %s=%s", name, value)
}

func (s *toySession) OnPtyRequest(_ uint64, term string, columns, rows, width, height uint32, modes []byte) error {
	return s.request("pty %s %dx%d %dx%d modes=%t", term, columns, rows, width, height, len(modes) > 0)
}

func (s *toySession) OnExecRequest(_ uint64, program string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
	return s.start("exec", program, stdin, stdout, stderr, exit)
}

func (s *toySession) OnShell(_ uint64, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
	return s.start("shell", "", stdin, stdout, stderr, exit)
}

func (s *toySession) OnSubsystem(_ uint64, name string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
	return s.start("subsystem", name, stdin, stdout, stderr, exit)
}

func (s *toySession) OnSignal(_ uint64, name string) error {
	if err := s.request("signal %s", name); err != nil {
		return err
	}
	for number, n := range signalNames {
		if n == name {
			s.signal(number)
		}
	}
	return nil
}

func (s *toySession) OnBreak(_ uint64, length uint32) error { return s.request("break %d", length) }

func (s *toySession) OnWindow(_ uint64, columns, rows, width, height uint32) error {
	return s.request("window %dx%d %dx%d", columns, rows, width, height)
}

func (s *toySession) OnClose() {
	s.signal(syscall.SIGKILL)
	s.connection.sessions.Delete(s)
	if h := s.toy.hooks.onClose; h != nil {
		h(s)
	}
	s.toy.note("close %d", s.id)
	s.toy.closes.Add(1)
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGKILL: "KILL",
	syscall.SIGTERM: "TERM", syscall.SIGUSR1: "USR1", syscall.SIGPIPE: "PIPE",
}

func (s *toySession) signal(number syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = syscall.Kill(-s.cmd.Process.Pid, number)
	}
}

// start runs a program by /bin/sh.
func (s *toySession) start(kind, what string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
	if h := s.toy.hooks.start; h != nil {
		return h(s, kind, what, stdin, stdout, stderr, exit)
	}
	return s.run(what, stdin, stdout, stderr, exit)
}

func (s *toySession) run(line string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
	cmd := exec.Command("/bin/sh")
	if line != "" {
		cmd.Args = append(cmd.Args, "-c", line)
	}
	cmd.Env = append(cmd.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	toProgram, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	fromProgram, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	errors, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	s.toy.note("started %s", line)

	go func() {
		_, err := io.Copy(toProgram, stdin)
		s.toy.note("stdin ended: %v", err)
		_ = toProgram.Close()
	}()
	go func() {
		var outputs sync.WaitGroup
		outputs.Go(func() {
			if _, err := io.Copy(stdout, fromProgram); err != nil {
				// Like a broken pipe: the program hears of it.
				_ = fromProgram.Close()
			}
		})
		outputs.Go(func() { _, _ = io.Copy(stderr, errors) })
		outputs.Wait()
		err := cmd.Wait()
		s.mu.Lock()
		s.cmd = nil
		s.mu.Unlock()
		status := sshserver.ExitStatus{Code: 1}
		if state := cmd.ProcessState; state != nil {
			wait := state.Sys().(syscall.WaitStatus)
			if wait.Signaled() {
				status.Signal = signalNames[wait.Signal()]
				status.CoreDumped = wait.CoreDump()
				status.Message = wait.Signal().String()
			} else {
				status.Code = uint32(wait.ExitStatus())
			}
		}
		_ = err
		exit(status)
	}()
	return nil
}

// userError is an error with words for the user.
type userError struct{ words, cause string }

func (e userError) Error() string       { return e.cause }
func (e userError) UserMessage() string { return e.words }

// text encodes a string of the protocol.
func text(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
