package forwards

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// patience bounds each wait, on a machine that runs all of the tests at once.
const patience = 90 * time.Second

// serverOf starts a server whose containers have no network but their own. settings
// are lines of the section ssh, execution those of docker.execution, which may replace
// host and container: such a container has the engine's file of hosts.
func serverOf(t *testing.T, image, settings, execution string) *testberth.Server {
	t.Helper()
	if !strings.Contains(execution, "host:") {
		execution += "\nhost: {networkmode: none}"
	}
	if !strings.Contains(execution, "container:") {
		execution += "\ncontainer: {image: " + image + ", networkdisabled: true, labels: {" + testguest.Label + `: "1"}}`
	}
	return testberth.Start(t, fmt.Sprintf(`
ssh:
  drainTimeout: 2s
  %s
docker:
  connection: {host: %q}
  execution:
    imagePullPolicy: Never
    %s
log: {level: debug}
`, indent(settings, 2), testguest.EngineHost(), indent(execution, 4)), t.TempDir())
}

func indent(lines string, by int) string {
	return strings.ReplaceAll(lines, "\n", "\n"+strings.Repeat(" ", by))
}

// master is one connection that sessions and forwards share.
type master struct {
	t      *testing.T
	server *testberth.Server
	dir    string // short, since a socket's path must be
}

// newMaster connects. options are for ssh's command line.
func newMaster(t *testing.T, server *testberth.Server, options ...string) *master {
	t.Helper()
	return newMasterWith(t, server, nil, options...)
}

// newMasterWith is newMaster with variables for ssh: what is forwarded for its
// sessions is what the master has.
func newMasterWith(t *testing.T, server *testberth.Server, env []string, options ...string) *master {
	t.Helper()
	dir, err := os.MkdirTemp("", "fw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &master{t: t, server: server, dir: dir}
	cmd := m.ssh(append([]string{"-M", "-N", "-o", "ExitOnForwardFailure=yes"}, options...)...)
	cmd.Stderr = t.Output()
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	deadline := time.Now().Add(patience)
	for m.ssh("-O", "check").Run() != nil {
		select {
		case <-ended:
			t.Fatalf("the master has ended: %v", cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("no master")
		}
	}
	return m
}

func (m *master) path(name string) string { return filepath.Join(m.dir, name) }

// ssh is a command of ssh with the options in front of the destination.
func (m *master) ssh(options ...string) *exec.Cmd { return m.command(options, nil) }

func (m *master) command(options, command []string) *exec.Cmd {
	args := append([]string{"-o", "BatchMode=yes", "-S", m.path("m")}, m.server.Options...)
	args = append(append(args, options...), m.server.Destination)
	cmd := exec.CommandContext(m.t.Context(), "ssh", append(args, command...)...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// forward adds a forward to the connection, and returns what ssh says of it.
func (m *master) forward(options ...string) string {
	m.t.Helper()
	said, err := m.tryForward(options...)
	if err != nil {
		m.t.Fatalf("forward %q: %v: %s", options, err, said)
	}
	return said
}

func (m *master) tryForward(options ...string) (string, error) {
	out, err := m.ssh(append([]string{"-O", "forward"}, options...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// socket forwards a socket on this machine to somewhere in the container, and
// returns its path.
func (m *master) socket(to string) string {
	m.t.Helper()
	path := m.path(fmt.Sprintf("l%d", time.Now().UnixNano()))
	m.forward("-L", path+":"+to)
	return path
}

// dynamic makes the master a SOCKS proxy, and returns its address: ssh tells
// nobody of a port that it chooses for -D, so it is told ports until it can have
// one, below those that systems give to connections.
func (m *master) dynamic() string {
	m.t.Helper()
	var failed error
	for range 10 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(18000))
		said, err := m.tryForward("-D", address)
		if err == nil {
			return address
		}
		failed = fmt.Errorf("%w: %s", err, said)
	}
	m.t.Fatal(failed)
	return ""
}

// session is a program that runs in the container.
type session struct {
	t      *testing.T
	stdin  io.WriteCloser
	lines  *bufio.Reader
	stderr *lockedBuffer
	cmd    *exec.Cmd
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a session over the master, which ends with the test.
func (m *master) start(options []string, command ...string) *session {
	m.t.Helper()
	return startSession(m.t, m.command(options, command))
}

func startSession(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, cmd: cmd, stderr: &lockedBuffer{}}
	var err error
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = s.stderr
	s.lines = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return s
}

// line is the next line that the program writes.
func (s *session) line() string {
	s.t.Helper()
	line, err := s.lines.ReadString('\n')
	if err != nil {
		s.t.Fatalf("no line of output: %v; it has said %q, %q", err, line, s.stderr)
	}
	return strings.TrimRight(line, "\r\n")
}

// output runs a command over the master to its end.
func (m *master) output(options []string, command ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	cmd := m.command(options, command)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run()
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// dial connects to a socket on this machine.
func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// listen listens at a socket on this machine, and serves what comes.
func listen(t *testing.T, path string, serve func(*net.UnixConn)) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
