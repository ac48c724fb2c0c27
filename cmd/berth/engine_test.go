package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testpodman"
)

// These tests run the server on the real engine.

// patience bounds waiting for what must happen, on a busy machine.
const patience = time.Minute

// containers returns the containers that carry a label.
func containers(t *testing.T, label string) []string {
	t.Helper()
	return containersOn(t, testguest.EngineHost(), label)
}

func containersOn(t *testing.T, host, label string) []string {
	t.Helper()
	e, err := engine.Open(engine.Settings{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	list, err := e.ListContainers(t.Context(), map[string]string{testguest.Label: label})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
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

// lab is a configuration whose containers carry a label of the test's own.
func lab(label, image, execution string) string {
	return fmt.Sprintf(`
ssh: {drainTimeout: 2s}
docker:
  connection: {host: %q}
  execution:
    imagePullPolicy: Never
    container: {image: %q, labels: {%s: %q}, networkdisabled: true}
    %s
log: {level: debug}
`, testguest.EngineHost(), image, testguest.Label, label, strings.ReplaceAll(execution, "\n", "\n    "))
}

const busybox = "agent: none\nshellCommand: [/bin/sh]\nidleCommand: [/bin/sleep, '1000']"

func label(t *testing.T) string {
	return t.Name() + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// What a user reads when there is no container, or no program: one line, at
// once, and nothing is left.
func TestLoginFailures(t *testing.T) {
	small, scratch := testguest.Busybox(t), testguest.Scratch(t)
	for _, c := range []struct {
		name, image, execution, code, words string
		exit                                int
	}{
		// Hazard 16.
		{"no image", "berth.test/no/such:image", busybox, "DOCKER_CONTAINER_CREATE_FAILED",
			"The image is not on this server", 255},
		{"no image, session mode", "berth.test/no/such:image", "mode: session\n" + busybox, "DOCKER_CONTAINER_CREATE_FAILED",
			"The image is not on this server", 255},
		{"no idle command", scratch, busybox, "DOCKER_CONTAINER_START_FAILED", "The image has no program to start", 127},
		{"no shell", scratch, "agent: none\nidleCommand: [/guest, sleep, 1000s]", "DOCKER_EXEC_ATTACH_FAILED",
			"not in this image", 127},
		{"no shell, session mode", scratch, "mode: session\nagent: none", "DOCKER_CONTAINER_START_FAILED", "not in this image", 127},
		{"no agent", small, "agent: image\nidleCommand: [/bin/sleep, '1000']", "DOCKER_EXEC_PID_READ_FAILED",
			"The image has no working guest agent", 255},
		{"no agent, session mode", small, "mode: session\nagent: image", "DOCKER_CONTAINER_START_FAILED", "not in this image", 127},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mark := label(t)
			s := testberth.Start(t, lab(mark, c.image, c.execution), t.TempDir())
			cmd := s.SSH(t.Context(), "echo hello")
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			said := stderr.String()
			if got := cmd.ProcessState.ExitCode(); got != c.exit || stdout.Len() > 0 ||
				!strings.Contains(said, c.words) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and a line with %q", got, stdout.String(), said, c.exit, c.words)
			}
			waitFor(t, c.code+" in the log", func() bool { return strings.Contains(s.Log(), c.code) })
			waitFor(t, "no container", func() bool { return len(containers(t, mark)) == 0 })
		})
	}
}

// ready starts a command that says "ready" and returns then, and what it says
// after that, with ssh's end.
func ready(t *testing.T, s *testberth.Server, command string) (rest *bufio.Reader, cmd *exec.Cmd) {
	t.Helper()
	cmd = s.SSH(t.Context(), command)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	rest = bufio.NewReader(out)
	if line, err := rest.ReadString('\n'); line != "ready\n" {
		t.Errorf("%q, %v; the log:\n%s", line, err, s.Log())
	}
	return rest, cmd
}

// Hazard 14: what a server that was killed has left is removed by its next
// start, and nothing else.
func TestReap(t *testing.T) {
	image := testguest.Busybox(t)
	mark, state := label(t), t.TempDir()
	first := testberth.Start(t, lab(mark, image, busybox), state)
	other := testberth.Start(t, lab(mark, image, busybox), t.TempDir())
	const run = "echo ready; sleep 1000"
	for range 3 {
		ready(t, first, run)
	}
	rest, _ := ready(t, other, run)
	first.Kill()
	if n := len(containers(t, mark)); n != 4 {
		t.Fatalf("%d containers, want 4", n)
	}
	testberth.Start(t, lab(mark, image, busybox), state)
	if n := len(containers(t, mark)); n != 1 {
		t.Errorf("%d containers, want the other server's only", n)
	}
	if err := other.Stop(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, rest)
	waitFor(t, "no container", func() bool { return len(containers(t, mark)) == 0 })
}

// Hazard 14: with an injected agent nobody has to come back: its containers end
// with the server that they belonged to, on either engine, whatever their
// programs think of signals.
func TestLifeline(t *testing.T) {
	for name, host := range map[string]func(t *testing.T) string{
		"docker": func(*testing.T) string { return testguest.EngineHost() },
		"podman": func(t *testing.T) string { return testpodman.Host(t) },
	} {
		t.Run(name, func(t *testing.T) {
			host, mark := host(t), label(t)
			config := strings.Replace(lab(mark, testguest.BusyboxOn(t, host), "agent: inject"), testguest.EngineHost(), host, 1)
			s := testberth.Start(t, config, t.TempDir())
			var started sync.WaitGroup
			places := make(chan struct{}, 8) // unauthenticated at the same time
			for range 50 {
				started.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					ready(t, s, "trap '' HUP TERM; (trap '' HUP TERM; setsid sleep 1000) & echo ready; sleep 1000")
				})
			}
			started.Wait()
			if t.Failed() {
				return
			}
			if n := len(containersOn(t, host, mark)); n != 50 {
				t.Errorf("%d containers, want 50", n)
			}
			killed := time.Now()
			s.Kill()
			waitFor(t, "no container", func() bool { return len(containersOn(t, host, mark)) == 0 })
			t.Logf("no container is left %v after the server's end", time.Since(killed).Round(10*time.Millisecond))
		})
	}
}

// A container from the pool does not say whose it is: berth ps does, and Prometheus
// hears of the pool.
func TestPool(t *testing.T) {
	mark, state := label(t), t.TempDir()
	config := strings.Replace(lab(mark, testguest.Busybox(t), "agent: inject"), "docker:\n", "docker:\n  pool: {min: 2}\n", 1)
	s := testberth.Start(t, config, state)
	ps := func() string {
		out, err := exec.Command("berth", "ps", "--state-dir", state).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	waitFor(t, "a full pool", func() bool { return strings.Contains(ps(), "2 of 2 waiting") })
	_, cmd := ready(t, s, "echo ready; sleep 1000")
	row := regexp.MustCompile(`(?m)^[0-9a-f]{12} +"berth" +127\.0\.0\.1:\d+ +\S+ \S+ +yes +[0-9a-f]{32}$`)
	if out := ps(); !row.MatchString(out) || !strings.Contains(out, "1 logins found one, 0 did not") {
		t.Errorf("%s", out)
	}
	_ = cmd.Process.Kill()
	waitFor(t, "an empty list", func() bool { return !strings.Contains(ps(), "berth\"") })

	for name, want := range map[string]float64{"berth_pool_hits_total": 1, "berth_pool_misses_total": 0} {
		if n := metric(t, state, name); n != want {
			t.Errorf("the metric %s is %v", name, n)
		}
	}
	waitFor(t, "the connection's end", func() bool { return metric(t, state, "berth_connections") == 0 })
	if metric(t, state, "berth_engine_requests_total") == 0 {
		t.Error("no request to the engine is counted")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if left := containers(t, mark); len(left) > 0 {
		t.Errorf("containers %v are left", left)
	}
}

// Hazard 14: a client that is gone without a word is noticed.
func TestClientVanishes(t *testing.T) {
	mark := label(t)
	config := strings.Replace(lab(mark, testguest.Busybox(t), busybox), "ssh: {", "ssh: {keepAlive: {interval: 100ms, countMax: 2}, ", 1)
	s := testberth.Start(t, config, t.TempDir())
	_, cmd := ready(t, s, "echo ready; sleep 1000")
	// A stopped client answers nothing, and its system sends no FIN.
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	waitFor(t, "no container", func() bool { return len(containers(t, mark)) == 0 })
}

// refuse starts a server that must not start, and returns its one line.
func refuse(t *testing.T, config string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	file := writeFile(t, "berth.yaml", config)
	cmd := exec.CommandContext(ctx, "berth", "serve", "--config", file, "--listen", "127.0.0.1:0", "--state-dir", t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 1 and one line", code, stdout.String(), stderr.String())
	}
	return stderr.String()
}

// An engine's socket that nobody answers at.
func TestDeadSocket(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(l *net.UnixListener)
		words string
	}{
		{"nobody listens", func(l *net.UnixListener) { _ = l.Close() }, "Cannot connect"},
		{"nobody answers", func(*net.UnixListener) {}, "did not answer"},
		{"somebody else", func(l *net.UnixListener) {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
				_ = c.Close()
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "docker.sock")
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			l.SetUnlinkOnClose(false)
			go c.serve(l)
			said := refuse(t, fmt.Sprintf("docker: {connection: {host: %q}, timeouts: {http: 500ms}}", "unix://"+path))
			if !strings.Contains(said, "the container engine at unix://"+path+" cannot be used: ") ||
				!strings.Contains(said, c.words) || !strings.Contains(said, "start Docker or Podman") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// An engine that wants client certificates.
func TestTLS(t *testing.T) {
	authority, stranger := fakeengine.NewAuthority(t), fakeengine.NewAuthority(t)
	host := tlsProxy(t, strings.TrimPrefix(testguest.EngineHost(), "unix://"), authority.ServerConfig())
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	config := func(ca, cert, key string) string {
		text := lab(label(t), testguest.Busybox(t), busybox)
		connection := fmt.Sprintf("{host: %q, cacert: %q", host, ca)
		if cert != "" {
			connection += fmt.Sprintf(", cert: %q, key: %q", cert, key)
		}
		return strings.Replace(text, fmt.Sprintf("{host: %q", testguest.EngineHost()), connection, 1)
	}
	t.Run("right", func(t *testing.T) {
		cert, key := authority.Client(soon)
		s := testberth.Start(t, config(authority.CA, cert, key), t.TempDir())
		cmd := s.SSH(t.Context(), "cat; exit 4")
		cmd.Stdin = strings.NewReader("through TLS")
		out, _ := cmd.Output()
		if string(out) != "through TLS" || cmd.ProcessState.ExitCode() != 4 {
			t.Errorf("%q, %v", out, cmd.ProcessState)
		}
	})
	for name, pair := range map[string]func() (string, string){
		"wrong":   func() (string, string) { return stranger.Client(soon) },
		"expired": func() (string, string) { return authority.Client(past) },
		"none":    func() (string, string) { return "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := pair()
			if said := refuse(t, config(authority.CA, cert, key)); !strings.Contains(said, "certificate") {
				t.Errorf("said %q", said)
			}
		})
	}
	t.Run("not trusted", func(t *testing.T) {
		cert, key := authority.Client(soon)
		if said := refuse(t, config(stranger.CA, cert, key)); !strings.Contains(said, "certificate") {
			t.Errorf("said %q", said)
		}
	})
}

// tlsProxy puts TLS before the engine's socket.
func tlsProxy(t *testing.T, socket string, config *tls.Config) (host string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				defer far.Close()
				go func() {
					_, _ = io.Copy(far, near)
					_ = far.(*net.UnixConn).CloseWrite()
				}()
				_, _ = io.Copy(near, far)
				_ = near.(*tls.Conn).CloseWrite()
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}
