package testsshd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
)

// Start is Run for a test: the server ends with it.
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	s, err := Run(t.Context(), extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		s.log.report(t)
	})
	return s
}

// Run runs this machine's sshd until Stop, or until this process has ended. The
// user is the one who runs the caller; extra are further lines of sshd_config,
// which come last and so win only over defaults. ctx is for the start.
func Run(ctx context.Context, extra ...string) (*Server, error) {
	// sshd runs itself again for each connection and so wants its full path.
	path, err := exec.LookPath("sshd")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			return nil, errors.New("sshd is not installed: run \"make setup\"")
		}
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		// sshd insists on this directory, which only a boot makes.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	return start(ctx, me.Username, "", extra, func(_ context.Context, f files, log *safeBuffer) (launched, error) {
		cmd := exec.Command(path, "-D", "-e", "-f", f.path(configFile))
		cmd.Stderr = log
		cmd.SysProcAttr = endWithParent()
		if err := cmd.Start(); err != nil {
			return launched{}, err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			// Its exit is no news: it is killed below, or start finds out.
			_ = cmd.Wait()
		}()
		return launched{ended, func() {
			_ = cmd.Process.Kill()
			<-ended
		}}, nil
	})
}

// seenAt is where a container finds the server's files.
const seenAt = "/etc/berth-sshd"

// lifeline runs sshd for as long as somebody holds the container's standard
// input. The shell, as the first process, also reaps what sessions leave.
const lifeline = `exec 3<&0
/usr/sbin/sshd -D -e -f ` + seenAt + `/` + configFile + ` 3<&- & sshd=$!
(cat <&3 >/dev/null; kill $sshd) &
wait $sshd`

// StartIn runs the sshd that an image holds at /usr/sbin/sshd (testguest.Debian
// does) in a container on the machine's own network. The user is root, with
// env (NAME=value) in the environment of all sessions.
func StartIn(t testing.TB, image string, env []string, extra ...string) *Server {
	t.Helper()
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost()})
	if err != nil {
		t.Fatalf("no container engine (run \"make setup\"): %v", err)
	}
	t.Cleanup(e.Close)
	if len(env) > 0 {
		line := "SetEnv"
		for _, v := range env {
			line += ` "` + v + `"`
		}
		extra = append(extra, line)
	}
	s, err := start(t.Context(), "root", seenAt, extra, func(ctx context.Context, f files, log *safeBuffer) (launched, error) {
		id, err := e.CreateContainer(ctx, engine.ContainerSpec{
			Config: &container.Config{
				Image: image, Cmd: []string{"/bin/sh", "-c", lifeline},
				OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
				Labels: map[string]string{testguest.Label: "1"},
			},
			Host: &container.HostConfig{
				AutoRemove:  true,
				NetworkMode: "host",
				Binds:       []string{f.dir + ":" + seenAt + ":ro"},
				LogConfig:   container.LogConfig{Type: "none"},
			},
		})
		if err != nil {
			return launched{}, err
		}
		remove := func() {
			ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
			defer cancel()
			if err := e.RemoveContainer(ctx, id); err != nil {
				t.Errorf("remove sshd's container: %v", err)
			}
		}
		// The stream is also the container's lifeline.
		stream, err := e.AttachContainer(ctx, id, false)
		if err != nil {
			remove()
			return launched{}, err
		}
		if err := e.StartContainer(ctx, id); err != nil {
			stream.Close()
			remove()
			return launched{}, err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = stream.CopyOutput(log, log)
		}()
		return launched{ended, func() {
			stream.Close()
			<-ended
			remove()
		}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		s.log.report(t)
	})
	return s
}

// safeBuffer holds a server's log until the test is known to have failed.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *safeBuffer) report(t testing.TB) {
	if log := s.String(); t.Failed() && log != "" {
		t.Logf("sshd's log:\n%s", log)
	}
}
