package main

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// Hazard 22: what runs may end, is then asked to, and then made to; no connection
// is taken meanwhile; then the server ends, with nothing left.
func TestDrain(t *testing.T) {
	guest := testguest.WithAgent(t, testguest.Busybox(t))
	start := func(t *testing.T, timeout string) (s *testberth.Server, left func() []string) {
		mark := label(t)
		config := strings.Replace(lab(mark, guest, "shellCommand: [/bin/sh]"), "drainTimeout: 2s", "drainTimeout: "+timeout, 1)
		return testberth.Start(t, config, t.TempDir()), func() []string { return containers(t, mark) }
	}
	drain := func(t *testing.T, s *testberth.Server) {
		s.Signal(syscall.SIGTERM)
		waitFor(t, "draining", func() bool { return strings.Contains(s.Log(), "stopping") })
	}
	gone := func(t *testing.T, s *testberth.Server, left func() []string) {
		t.Helper()
		if err := s.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
		if left := left(); len(left) > 0 {
			t.Errorf("containers %v are left", left)
		}
	}

	t.Run("a program that goes on to its end", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1h")
		cmd := s.SSH(t.Context(), "trap 'echo asked; exit 1' TERM HUP; echo ready; cat; exit 7")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		rest := bufio.NewReader(stdout)
		if line, err := rest.ReadString('\n'); line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		drain(t, s)
		late := s.SSH(t.Context(), "echo hello")
		if late.Run() == nil || late.ProcessState.ExitCode() != 255 {
			t.Errorf("a new connection: %v", late.ProcessState)
		}
		// It is served as if nothing were, and nobody speaks between.
		_, _ = io.WriteString(stdin, "all of it\n")
		_ = stdin.Close()
		out, _ := io.ReadAll(rest)
		if _ = cmd.Wait(); string(out) != "all of it\n" || stderr.Len() > 0 || cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("%q, %q, %v; want its own end", out, stderr.String(), cmd.ProcessState)
		}
		gone(t, s, left)
		if strings.Contains(s.Log(), "the time to drain is over") {
			t.Error("the server has waited longer than for the last session")
		}
	})
	t.Run("a program that ends when it is asked to", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1s")
		rest, cmd := ready(t, s, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done")
		s.Signal(syscall.SIGTERM)
		if line, err := rest.ReadString('\n'); line != "bye\n" {
			t.Errorf("%q, %v; want its goodbye", line, err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("ssh: %v, want the program's own exit code 3", cmd.ProcessState)
		}
		gone(t, s, left)
	})
	t.Run("a program that does not", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1s")
		_, cmd := ready(t, s, "trap '' TERM HUP; echo ready; while :; do sleep 0.1; done")
		s.Signal(syscall.SIGTERM)
		gone(t, s, left)
		if _ = cmd.Wait(); cmd.ProcessState.Success() {
			t.Error("ssh reports a success")
		}
	})
	t.Run("a terminal", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1s")
		cmd := s.SSH(t.Context(), "-tt")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		rest := typed(t, cmd, "echo rea''dy\n")
		for line := ""; !strings.HasPrefix(line, "ready"); {
			var err error
			if line, err = rest.ReadString('\n'); err != nil {
				t.Fatalf("%q, %v, %s", line, err, stderr.String())
			}
		}
		drain(t, s)
		out, _ := io.ReadAll(rest)
		_ = cmd.Wait()
		// It takes no notice of TERM, but its terminal hangs up.
		if !strings.Contains(s.Log(), "signal=HUP") {
			t.Errorf("ssh: %v; want the shell to end of HUP", cmd.ProcessState)
		}
		if !strings.Contains(stderr.String(), "\r\nberth: the server is going down in 1s\r\n") || strings.Contains(string(out), "berth:") {
			t.Errorf("standard error %q, output %q; want the warning in the first", stderr.String(), out)
		}
		gone(t, s, left)
	})
	t.Run("a second signal", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1h")
		ready(t, s, "trap '' TERM HUP; echo ready; while :; do sleep 0.1; done")
		drain(t, s)
		s.Signal(syscall.SIGINT)
		gone(t, s, left)
	})
	// Nobody is left who could be waited for.
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		s, left := start(t, "1h")
		s.Signal(syscall.SIGTERM)
		gone(t, s, left)
	})
}

// typed starts a command whose terminal gets some text, and goes on.
func typed(t *testing.T, cmd *exec.Cmd, text string) *bufio.Reader {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
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
	if _, err := io.WriteString(stdin, text); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(stdout)
}
