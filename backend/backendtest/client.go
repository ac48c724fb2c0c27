package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

// patience bounds every wait. It is no measure of speed: a loaded machine may
// take long, only what hangs reaches it.
const patience = 2 * time.Minute

// connection is a client's connection, without SSH: it calls the handlers as a
// server does.
type connection struct {
	t       *testing.T
	id      string
	network sshserver.NetworkConnectionHandler
	ssh     sshserver.SSHConnectionHandler

	mu       sync.Mutex
	channels uint64
	left     sync.Once
}

// connect logs in, and disconnects at the end of the test.
func connect(t *testing.T, target Target) *connection {
	t.Helper()
	var b [16]byte
	_, _ = rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	network, err := target.Connect(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2222}, id)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{t: t, id: id, network: network}
	t.Cleanup(c.disconnect)
	c.ssh, err = network.OnHandshakeSuccess("tester")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *connection) disconnect() { c.left.Do(c.network.OnDisconnect) }

// session opens a session channel.
func (c *connection) session() *session {
	c.t.Helper()
	c.mu.Lock()
	id := c.channels
	c.channels++
	c.mu.Unlock()
	handler, err := c.ssh.OnSessionChannel(id, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	s := &session{t: c.t, handler: handler, exited: make(chan struct{})}
	s.stdout.changed, s.stderr.changed = make(chan struct{}, 1), make(chan struct{}, 1)
	s.stdinReader, s.stdin = newChannelPipe()
	c.t.Cleanup(s.close)
	return s
}

// session is a client's session channel.
type session struct {
	t              *testing.T
	handler        sshserver.SessionChannelHandler
	requests       uint64
	stdin          *channelWriter
	stdinReader    io.Reader
	stdout, stderr output

	exited chan struct{} // closed when status is set
	status sshserver.ExitStatus
	closed sync.Once
}

// close closes the channel: all streams break.
func (s *session) close() {
	s.closed.Do(func() {
		s.stdin.breakOff()
		s.stdout.breakOff()
		s.stderr.breakOff()
		s.handler.OnClose()
	})
}

func (s *session) request() uint64 { s.requests++; return s.requests }

// onExit may be called once.
func (s *session) onExit(status sshserver.ExitStatus) {
	select {
	case <-s.exited:
		s.t.Error("onExit has been called twice")
	default:
		s.status = status
		close(s.exited)
	}
}

func (s *session) env(name, value string) *session {
	s.t.Helper()
	if err := s.handler.OnEnvRequest(s.request(), name, value); err != nil {
		s.t.Fatalf("env %s=%s: %v", name, value, err)
	}
	return s
}

func (s *session) pty(columns, rows uint32) *session {
	s.t.Helper()
	if err := s.handler.OnPtyRequest(s.request(), "xterm", columns, rows, 0, 0, nil); err != nil {
		s.t.Fatalf("pty: %v", err)
	}
	return s
}

func (s *session) exec(command string) *session {
	s.t.Helper()
	err := s.handler.OnExecRequest(s.request(), command, s.stdinReader, &s.stdout, &s.stderr, s.onExit)
	if err != nil {
		s.t.Fatalf("exec %q: %v", command, err)
	}
	return s
}

func (s *session) shell() *session {
	s.t.Helper()
	if err := s.handler.OnShell(s.request(), s.stdinReader, &s.stdout, &s.stderr, s.onExit); err != nil {
		s.t.Fatalf("shell: %v", err)
	}
	return s
}

func (s *session) subsystem(name string) *session {
	s.t.Helper()
	if err := s.handler.OnSubsystem(s.request(), name, s.stdinReader, &s.stdout, &s.stderr, s.onExit); err != nil {
		s.t.Fatalf("subsystem %s: %v", name, err)
	}
	return s
}

// send writes to the program's standard input.
func (s *session) send(text string) *session {
	s.t.Helper()
	if _, err := io.WriteString(s.stdin, text); err != nil {
		s.t.Fatalf("stdin: %v", err)
	}
	return s
}

// end is the client's end of file.
func (s *session) end() *session { s.stdin.end(); return s }

// wait returns how the program ended.
func (s *session) wait() sshserver.ExitStatus {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	select {
	case <-s.exited:
		return s.status
	case <-ctx.Done():
		s.t.Fatalf("the program has not ended; so far stdout %q, stderr %q", tail(s.stdout.String()), tail(s.stderr.String()))
		panic("unreachable")
	}
}

// wantExit checks how the program ended.
func (s *session) wantExit(code uint32) *session {
	s.t.Helper()
	if got := s.wait(); got.Code != code || got.Signal != "" {
		s.t.Errorf("exit %+v, want code %d; stdout %q, stderr %q", got, code, tail(s.stdout.String()), tail(s.stderr.String()))
	}
	return s
}

func (s *session) wantStdout(want string) *session {
	s.t.Helper()
	if got := s.stdout.String(); got != want {
		s.t.Errorf("stdout %q, want %q; stderr %q", tail(got), tail(want), tail(s.stderr.String()))
	}
	return s
}

func (s *session) wantStderr(want string) *session {
	s.t.Helper()
	if got := s.stderr.String(); got != want {
		s.t.Errorf("stderr %q, want %q", tail(got), tail(want))
	}
	return s
}

// expect waits until the text stands in the output.
func (s *session) expect(text string) *session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		if strings.Contains(s.stdout.String(), text) {
			return s
		}
		select {
		case <-s.stdout.changed:
		case <-s.exited:
			if !strings.Contains(s.stdout.String(), text) {
				s.t.Fatalf("the program has ended (%+v) without %q on stdout: %q, stderr %q", s.status, text, tail(s.stdout.String()), tail(s.stderr.String()))
			}
			return s
		case <-ctx.Done():
			s.t.Fatalf("no %q on stdout: %q", text, tail(s.stdout.String()))
		}
	}
}

func tail(text string) string {
	if len(text) > 600 {
		return "…" + text[len(text)-600:]
	}
	return text
}

// output collects what a program writes.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	broken  bool
	changed chan struct{} // capacity 1
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return 0, io.ErrClosedPipe
	}
	o.text.Write(p)
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) breakOff() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = true
}

// channelWriter is the client's end of standard input.
type channelWriter struct {
	w    *io.PipeWriter
	once sync.Once
}

func newChannelPipe() (io.Reader, *channelWriter) {
	r, w := io.Pipe()
	return r, &channelWriter{w: w}
}

func (c *channelWriter) Write(p []byte) (int, error) { return c.w.Write(p) }

// end ends the input; breakOff ends it as a closed channel does, with an error.
func (c *channelWriter) end() { c.once.Do(func() { _ = c.w.Close() }) }
func (c *channelWriter) breakOff() {
	c.once.Do(func() { _ = c.w.CloseWithError(io.ErrClosedPipe) })
}
