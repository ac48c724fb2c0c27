package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testsshd"
)

// label is on all containers of a run, with the run's name as its value.
const label = "berth.bench"

// stage holds what is compared. Everything is started when it is first asked
// for, and ended by close. It is for one goroutine.
type stage struct {
	// program is the built server.
	program string
	targets []*endpoint

	name     string // of this run
	cleanups []func(ctx context.Context) error

	guestImage            string
	bare                  *engine.Client
	injected, onExec, own *endpoint
}

func newStage(program string, targets []*endpoint) *stage {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return &stage{program: program, targets: targets, name: hex.EncodeToString(b[:])}
}

// onClose has something done at the end, in the reverse order.
func (s *stage) onClose(f func(ctx context.Context) error) { s.cleanups = append(s.cleanups, f) }

// close ends everything. ctx may have ended already.
func (s *stage) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(s.cleanups) {
		errs = append(errs, f(ctx))
	}
	s.cleanups = nil
	return errors.Join(errs...)
}

// directory makes a directory that is removed at the end.
func (s *stage) directory() (string, error) {
	directory, err := os.MkdirTemp("", "bench-")
	if err == nil {
		s.onClose(func(context.Context) error { return os.RemoveAll(directory) })
	}
	return directory, err
}

// engine is the bare engine.
func (s *stage) engine() (*engine.Client, error) {
	if s.bare != nil {
		return s.bare, nil
	}
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost(), Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	s.bare = e
	s.onClose(func(ctx context.Context) error {
		defer engine.CloseIdle()
		defer e.Close()
		// What servers have left, and what was interrupted.
		left, err := e.ListContainers(ctx, map[string]string{label: s.name})
		for _, c := range left {
			err = errors.Join(err, e.RemoveContainer(ctx, c.ID))
		}
		return err
	})
	return e, nil
}

// guest is the image of all containers.
func (s *stage) guest(ctx context.Context) (string, error) {
	if s.guestImage != "" {
		return s.guestImage, nil
	}
	if _, err := s.engine(); err != nil {
		return "", err
	}
	image, err := testguest.MakeBusybox(ctx, testguest.EngineHost())
	s.guestImage = image
	return image, err
}

// container is a container of the guest that does nothing for a minute, so that
// it ends by itself if this process is killed.
func (s *stage) container(image string) engine.ContainerSpec {
	return engine.ContainerSpec{
		Config: &container.Config{Image: image, Cmd: []string{"/bin/sleep", "60"}, Labels: map[string]string{label: s.name}},
		Host:   &container.HostConfig{AutoRemove: true},
	}
}

// sshd is OpenSSH's on this machine. Its users have an empty home directory: a
// shell that sshd starts reads the user's .bashrc, which may do anything.
func (s *stage) sshd(ctx context.Context) (*endpoint, error) {
	if s.own != nil {
		return s.own, nil
	}
	home, err := s.directory()
	if err != nil {
		return nil, err
	}
	server, err := testsshd.Run(ctx, `SetEnv "HOME=`+home+`"`, "PermitUserRC no")
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error {
		server.Stop()
		return nil
	})
	s.own, err = newEndpoint("openssh", server.Addr, server.User, server.KeyFile, server.KnownHostsFile)
	return s.own, err
}

// berth is the server in its default way.
func (s *stage) berth(ctx context.Context) (*endpoint, error) {
	if s.injected != nil {
		return s.injected, nil
	}
	var err error
	s.injected, err = s.guestServer(ctx, "berth", map[string]any{})
	return s.injected, err
}

// berthOnExec is the server without an agent.
func (s *stage) berthOnExec(ctx context.Context) (*endpoint, error) {
	if s.onExec != nil {
		return s.onExec, nil
	}
	var err error
	s.onExec, err = s.guestServer(ctx, "berth on exec", map[string]any{
		"agent": "none", "shellCommand": []string{"/bin/sh"}, "idleCommand": []string{"/bin/sleep", "1800"},
		// Otherwise sleep, as the first process, would not hear that it should end.
		"host": map[string]any{"init": true},
	})
	return s.onExec, err
}

// guestServer starts a server whose users land in the guest.
func (s *stage) guestServer(ctx context.Context, name string, execution map[string]any) (*endpoint, error) {
	image, err := s.guest(ctx)
	if err != nil {
		return nil, err
	}
	server := s.name + " " + name
	execution["container"] = map[string]any{"image": image, "labels": map[string]string{label: s.name, label + ".server": server}}
	execution["imagePullPolicy"] = "Never"
	e, _, err := s.serve(ctx, name, testguest.EngineHost(), execution)
	if err != nil {
		return nil, err
	}
	e.settle = func(ctx context.Context) error { return s.settled(ctx, server) }
	return e, nil
}

// settled waits until no container of a server is left.
func (s *stage) settled(ctx context.Context, server string) error {
	e, err := s.engine()
	if err != nil {
		return err
	}
	for {
		list, err := e.ListContainers(ctx, map[string]string{label + ".server": server})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// serve starts the built server with an engine and settings for its execution.
func (s *stage) serve(ctx context.Context, name, engineHost string, execution map[string]any) (*endpoint, *child, error) {
	directory, err := s.directory()
	if err != nil {
		return nil, nil, err
	}
	config, err := json.Marshal(map[string]any{
		"ssh":    map[string]any{"maxConnections": -1},
		"docker": map[string]any{"connection": map[string]any{"host": engineHost}, "execution": execution},
		"log":    map[string]any{"level": "warn"}, // as little as sshd's
	})
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(directory, "berth.yaml") // JSON is YAML
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, nil, err
	}
	state := filepath.Join(directory, "state")
	cmd := exec.Command(s.program, "serve", "--config", file, "--listen", "127.0.0.1:0", "--state-dir", state)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	server, err := start(cmd)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (make build makes it)", err)
	}
	s.onClose(func(context.Context) error { return server.stop() })
	stop := context.AfterFunc(ctx, func() { _ = server.stop() })
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	if !stop() {
		return nil, nil, context.Cause(ctx)
	}
	words := strings.Fields(ready)
	port, key, known := option(words, "-p"), option(words, "-i"), option(words, "UserKnownHostsFile=")
	if err != nil || port == "" || key == "" || known == "" {
		return nil, nil, errors.Join(fmt.Errorf("no ready line of %s, but %q", name, ready), server.stop(), errors.New(server.said.String()))
	}
	e, err := newEndpoint(name, "127.0.0.1:"+port, "berth", key, known)
	return e, server, err
}

// option finds what follows a word, as the next one or in the same, in the line
// that a server prints.
func option(words []string, name string) string {
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, name); ok && rest != "" {
			return rest
		} else if ok && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}
