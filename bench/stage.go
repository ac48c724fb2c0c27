package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testsshd"
)

// label is on all containers of a run, with the run's name as its value.
const label = "berth.bench"

// processName begins the names of this process's runs.
var processName = strconv.Itoa(os.Getpid()) + "-"

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
	return &stage{program: program, targets: targets, name: processName + hex.EncodeToString(b[:])}
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

// create creates a container. An interruption waits for it: a container that the
// engine makes after nobody listens any more would be there for good.
func create(ctx context.Context, e *engine.Client, spec engine.ContainerSpec) (id string, err error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return e.CreateContainer(context.WithoutCancel(ctx), spec)
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

// berth is the server in its default way, which makes each container when
// somebody has logged in.
func (s *stage) berth(ctx context.Context) (*endpoint, error) {
	if s.injected != nil {
		return s.injected, nil
	}
	server, err := s.guestServer(ctx, "berth", 0, map[string]any{})
	if err != nil {
		return nil, err
	}
	s.injected = server.endpoint
	return s.injected, nil
}

// berthOnExec is the server without an agent.
func (s *stage) berthOnExec(ctx context.Context) (*endpoint, error) {
	if s.onExec != nil {
		return s.onExec, nil
	}
	server, err := s.guestServer(ctx, "berth on exec", 0, map[string]any{
		"agent": "none", "shellCommand": []string{"/bin/sh"}, "idleCommand": []string{"/bin/sleep", "1800"},
		// Otherwise sleep, as the first process, would not hear that it should end.
		"host": map[string]any{"init": true},
	})
	if err != nil {
		return nil, err
	}
	s.onExec = server.endpoint
	return s.onExec, nil
}

// guestServer starts a server whose users land in the guest, with so many
// containers that wait for them.
func (s *stage) guestServer(ctx context.Context, name string, pool int, execution map[string]any) (*berthServer, error) {
	image, err := s.guest(ctx)
	if err != nil {
		return nil, err
	}
	mark := s.name + " " + name
	execution["container"] = map[string]any{"image": image, "labels": map[string]string{label: s.name, label + ".server": mark}}
	execution["imagePullPolicy"] = "Never"
	docker := map[string]any{"connection": map[string]any{"host": testguest.EngineHost()}, "execution": execution}
	if pool > 0 {
		docker["pool"] = map[string]any{"min": pool, "max": pool}
	}
	server, err := s.serve(ctx, name, docker)
	if err != nil {
		return nil, err
	}
	server.settle = func(ctx context.Context) error { return s.settled(ctx, mark, server, pool) }
	return server, server.settle(ctx)
}

// settled waits until all containers of a server are those that wait for a
// login, and there are as many as there should be. The server is asked only if
// there should be any.
func (s *stage) settled(ctx context.Context, mark string, server *berthServer, waiting int) error {
	e, err := s.engine()
	if err != nil {
		return err
	}
	for {
		list, err := e.ListContainers(ctx, map[string]string{label + ".server": mark})
		if err != nil {
			return err
		}
		ready := 0.0
		if waiting > 0 {
			if ready, err = server.metric(ctx, "berth_pool_ready"); err != nil {
				return err
			}
		}
		if len(list) == waiting && int(ready) == waiting {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
