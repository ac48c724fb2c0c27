package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/internal/testguest"
)

// sockets is the directory of a backend's sockets.
type sockets struct {
	directory string
	log       *lockedBuffer
}

// withSockets opens a backend whose agents may connect by sockets.
func withSockets(t *testing.T, c docker.Config) (*docker.Backend, sockets) {
	t.Helper()
	s := sockets{filepath.Join(t.TempDir(), "agents"), &lockedBuffer{}}
	b, err := docker.Open(t.Context(), c, "", slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if _, err := os.Stat(s.directory); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory of the sockets is left: %v", err)
		}
		if t.Failed() {
			t.Log(s.log)
		}
	})
	if err := b.UseSockets(s.directory); err != nil {
		t.Fatal(err)
	}
	return b, s
}

// wantReached checks that an agent has come by its socket, of which nothing is
// left.
func (s sockets) wantReached(t *testing.T) {
	t.Helper()
	if !strings.Contains(s.log.String(), "by its socket") {
		t.Error("the agent has not come by its socket")
	}
	// That of a client who left while its container was made may go a moment later.
	waitFor(t, "the sockets' end", func() bool {
		left, err := os.ReadDir(s.directory)
		return err == nil && len(left) == 0
	})
}

// socketAgent is an engine whose agents connect by their sockets, and do what h does.
func socketAgent(t *testing.T, h agentproto.Handler) *fakeengine.Engine {
	return fakeengine.New(t, fakeengine.Options{
		Images: map[string]fakeengine.Image{"guest": {}},
		Programs: map[string]fakeengine.Program{"/.berth/agent": func(p *fakeengine.Process) int {
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: filepath.Join(p.Binds["/.berth/server"], "socket")})
			if err != nil {
				return 1
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				select {
				case <-p.Done:
				case <-ctx.Done():
				}
				cancel()
			}()
			_ = agentproto.Serve(ctx, agentproto.NewAgentSocket(conn), h)
			return 0
		}},
	})
}

// pipeAgent is a guest agent whose programs copy their input to the pipes that
// the server has made, and exit with 6.
type pipeAgent struct{ echoAgent }

func (pipeAgent) Session(_ context.Context, _ agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	if r.Started(1) != nil || r.Files == nil {
		return agentproto.Exit{}, false
	}
	go func() {
		for range r.Resizes {
		}
	}()
	go func() {
		for range r.Signals {
		}
	}()
	_, _ = io.Copy(r.Files.Stdout, r.Files.Stdin)
	_, _ = fmt.Fprintln(r.Files.Stderr, "the end")
	r.Files.Close()
	r.Finish(agentproto.Exit{Code: 6})
	return agentproto.Exit{}, false
}

func onFake(e *fakeengine.Engine) docker.Config {
	return docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
		},
	}
}

// loginBy logs in through a backend and runs one command.
func loginBy(t *testing.T, b *docker.Backend) (code uint32, stdout, stderr string) {
	t.Helper()
	handler, err := b.Handler(net.TCPAddr{}, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := runAs(t, "tester", handler, "command")
	return status.Code, stdout, stderr
}

// A session whose agent has come by its socket needs no stream of the engine's.
func TestAgentSocket(t *testing.T) {
	e := socketAgent(t, pipeAgent{})
	b, sockets := withSockets(t, onFake(e))
	if code, stdout, stderr := loginBy(t, b); code != 6 || stdout != "" || stderr != "the end\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	sockets.wantReached(t)
}

// Where agents don't find their sockets, the engine's stream is used, and after the
// first of them there are no sockets any more.
func TestAgentSocketNotFound(t *testing.T) {
	var with, without atomic.Int32
	e := fakeWithAgent(t, fakeengine.Options{}, echoAgent{}, func(p *fakeengine.Process) {
		if len(p.Binds) > 0 {
			with.Add(1)
		} else {
			without.Add(1)
		}
	})
	b, sockets := withSockets(t, onFake(e))
	for range 2 {
		if code, stdout, stderr := loginBy(t, b); code != 5 || stdout != "command\n" || stderr != "" {
			t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	}
	if n := strings.Count(sockets.log.String(), "cannot reach this server's sockets"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	if with.Load() != 1 || without.Load() != 1 {
		t.Errorf("%d containers with a socket, %d without; want one of each", with.Load(), without.Load())
	}
}

// An engine that cannot mount the directory, since it sees other files, makes the
// container without it.
func TestAgentSocketRefused(t *testing.T) {
	e := fakeWithAgent(t, fakeengine.Options{Elsewhere: true}, echoAgent{}, func(*fakeengine.Process) {})
	b, sockets := withSockets(t, onFake(e))
	for range 2 {
		if code, stdout, stderr := loginBy(t, b); code != 5 || stdout != "command\n" || stderr != "" {
			t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	}
	if n := strings.Count(sockets.log.String(), "bind source path does not exist"); n != 1 {
		t.Errorf("the engine refused %d times", n)
	}
}

// An engine that makes the directory anew, as Podman does when the one to be mounted
// has gone, leaves none.
func TestAgentSocketMadeAnew(t *testing.T) {
	e := socketAgent(t, pipeAgent{})
	b, sockets := withSockets(t, onFake(e))
	e.Order(fakeengine.Fault{Route: create, Hold: true})
	l := enter(t, b, "gone")
	var directory string
	waitFor(t, "the socket", func() bool {
		all, err := os.ReadDir(sockets.directory)
		if len(all) > 0 {
			directory = filepath.Join(sockets.directory, all[0].Name())
		}
		return err == nil && directory != "" && e.Count(create) > 0
	})
	gone := make(chan struct{})
	go func() {
		l.leave()
		close(gone)
	}()
	waitFor(t, "the socket's end", func() bool {
		_, err := os.Stat(directory)
		return errors.Is(err, os.ErrNotExist)
	})
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	e.Release()
	<-gone
	waitFor(t, "the end of the other", func() bool {
		_, err := os.Stat(directory)
		return errors.Is(err, os.ErrNotExist)
	})
}

// When an engine finds that the socket has gone with a client who left meanwhile, it
// makes no container, and leaves no volume that it has made for one.
func TestAgentSocketGone(t *testing.T) {
	e := socketAgent(t, pipeAgent{})
	c := onFake(e)
	c.Execution.Launch.HostConfig = &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Target: "/scratch"}}}
	b, sockets := withSockets(t, c)
	loginBy(t, b)
	waitFor(t, "the first container's end", func() bool { return len(e.Containers()) == 0 })
	before, creations := e.Volumes(), e.Count(create)
	e.Order(fakeengine.Fault{Route: create, Hold: true})
	l := enter(t, b, "gone")
	waitFor(t, "the creation under way", func() bool { return e.Count(create) > creations })
	gone := make(chan struct{})
	go func() {
		l.leave()
		close(gone)
	}()
	waitFor(t, "the socket's end", func() bool {
		left, err := os.ReadDir(sockets.directory)
		return err == nil && len(left) == 0
	})
	e.Release()
	<-gone
	b.Close()
	nothingLeft(t, e)
	if n := e.Volumes(); n != before || before == 0 {
		t.Errorf("there are %d volumes, and there were %d: the agent's", n, before)
	}
}

// Nor does the real engine leave one when it can't make what else is mounted.
func TestVolumesOfFailedCreation(t *testing.T) {
	label := map[string]string{testguest.Label: strings.ToLower(t.Name()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	c := injected(testguest.Busybox(t), &container.HostConfig{Mounts: []mount.Mount{
		{Type: mount.TypeVolume, Target: "/scratch", VolumeOptions: &mount.VolumeOptions{Labels: label}},
		{Type: mount.TypeVolume, Source: "berth-test-impossible", Target: "/y", VolumeOptions: &mount.VolumeOptions{
			DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"there-is-none": "1"}},
		}},
	}}, "")
	if status, _, stderr := login(t, c, t.Name(), "true"); status.Code != 255 {
		t.Fatalf("exit %+v, %q: the volume should not be possible", status, stderr)
	}
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	left, err := e.UnusedVolumes(t.Context(), "", label)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %+v, %v", left, err)
	}
	for _, v := range left {
		_ = e.RemoveVolume(t.Context(), v.Name)
	}
}
