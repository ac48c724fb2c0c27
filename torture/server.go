package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/internal/testmetrics"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// server is a server of this project, the built program, as a child that ends
// with this process.
type server struct {
	address, user, port string
	key                 ssh.Signer
	check               ssh.HostKeyCallback
	// keyFile and knownHosts are for stock ssh.
	keyFile, knownHosts string

	directory string // its state
	instance  string // what it calls itself on labels
	cmd       *exec.Cmd
	said      *tail
	ended     chan struct{}
	err       error // set before ended is closed
}

// serve starts the program with a configuration. directory is its own.
func serve(ctx context.Context, program, directory string, config map[string]any) (_ *server, err error) {
	text, err := json.Marshal(config) // JSON is YAML
	if err != nil {
		return nil, err
	}
	file := filepath.Join(directory, "berth.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	s := &server{directory: filepath.Join(directory, "state"), said: &tail{}, ended: make(chan struct{})}
	s.cmd = exec.Command(program, "serve", "--config", file, "--listen", "127.0.0.1:0", "--state-dir", s.directory)
	s.cmd.Stderr = s.said
	s.cmd.SysProcAttr = endWithParent()
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	if err == nil {
		err = s.reach(strings.Fields(ready))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server is not ready: %q: %w", ready, err), s.stop(), errors.New(s.said.String()))
	}
	return s, nil
}

// reach takes what is needed to log in from the line that the server prints.
func (s *server) reach(words []string) (err error) {
	for i, word := range words[:max(0, len(words)-1)] {
		switch next := words[i+1]; {
		case word == "-p":
			s.port = next
		case word == "-i":
			s.keyFile = next
		case strings.HasPrefix(word, "UserKnownHostsFile="):
			_, s.knownHosts, _ = strings.Cut(word, "=")
		case i == len(words)-2:
			s.user, _, _ = strings.Cut(next, "@")
		}
	}
	s.address = net.JoinHostPort("127.0.0.1", s.port)
	text, err := os.ReadFile(s.keyFile)
	if err != nil {
		return err
	}
	if s.key, err = ssh.ParsePrivateKey(text); err != nil {
		return err
	}
	if s.check, err = knownhosts.New(s.knownHosts); err != nil {
		return err
	}
	text, err = os.ReadFile(filepath.Join(s.directory, "instance"))
	s.instance = strings.TrimSpace(string(text))
	return err
}

// endTimeout is how long a server may take to end. It removes its containers in
// it.
const endTimeout = time.Minute

// stop asks the server to end, which must be a success.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		return s.err
	case <-time.After(endTimeout):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // says where it hangs
		<-s.ended
		return fmt.Errorf("the server did not end within %v", endTimeout)
	}
}

// counts are what a server has in use.
type counts struct{ goroutines, descriptors, connections, pool int }

// counts asks the control socket.
func (s *server) counts(ctx context.Context) (c counts, err error) {
	m, err := testmetrics.Of(ctx, s.directory)
	if err != nil {
		return c, err
	}
	for name, count := range map[string]*int{
		"go_goroutines": &c.goroutines, "process_open_fds": &c.descriptors, "berth_connections": &c.connections, "berth_pool_ready": &c.pool,
	} {
		value, err := m.Get(name)
		if err != nil {
			return c, err
		}
		*count = int(value)
	}
	return c, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
