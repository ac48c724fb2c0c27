// Package testberth runs the server as its users do: the built program, with a
// configuration file, reached with the line that it prints.
package testberth

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program is the server, built once in a process and removed by the system's
// cleaning of temporary files.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "berth")
	out, err := exec.Command("go", "build", "-o", path, "github.com/berth-ssh/berth/cmd/berth").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// Server is a running server.
type Server struct {
	// Options and Destination are for the command lines of ssh, scp and sftp.
	Options     []string
	Destination string

	t     testing.TB
	file  string // of its configuration
	cmd   *exec.Cmd
	log   log
	ended chan struct{}
	err   error // set before ended is closed
}

// log keeps what the server writes to standard error.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// Start starts a server with a configuration file and a state directory, on a
// port of its own. When the test ends it is stopped, and must exit with 0.
func Start(t testing.TB, config, stateDir string) *Server {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "berth.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, file: file, ended: make(chan struct{})}
	s.cmd = exec.Command(path, "serve", "--config", file, "--listen", "127.0.0.1:0", "--state-dir", stateDir)
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log())
		}
	})
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	words := strings.Fields(ready)
	if err != nil || len(words) < 3 || words[0] != "ssh" {
		t.Fatalf("no ready line: %q, %v", ready, err)
	}
	s.Options, s.Destination = words[1:len(words)-1], words[len(words)-1]
	for i := range s.Options {
		if s.Options[i] == "-p" { // scp has another letter for the port
			s.Options[i], s.Options[i+1] = "-o", "Port="+s.Options[i+1]
		}
	}
	return s
}

// Configure writes the configuration file anew, and has the server read it.
func (s *Server) Configure(config string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
}

// SSH is a command of ssh to this server.
func (s *Server) SSH(ctx context.Context, command ...string) *exec.Cmd {
	args := append(append([]string{"-o", "BatchMode=yes"}, s.Options...), s.Destination)
	return exec.CommandContext(ctx, "ssh", append(args, command...)...)
}

// Log is what the server has logged up to now.
func (s *Server) Log() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.text.String()
}

// Signal sends the server a signal.
func (s *Server) Signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// Wait waits for the server's end, and returns what exec.Cmd.Wait does.
func (s *Server) Wait() error {
	<-s.ended
	return s.err
}

// Stop sends TERM, and waits for the server's end.
func (s *Server) Stop() error {
	s.Signal(syscall.SIGTERM)
	return s.Wait()
}

// Kill ends the server as an accident would: it has no time for anything. The
// test goes on.
func (s *Server) Kill() {
	s.Signal(syscall.SIGKILL)
	_ = s.Wait()
	s.err = nil
}
