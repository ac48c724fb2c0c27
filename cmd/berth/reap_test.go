package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/internal/testberth"
)

// A server that runs is asked: what its connections have stays.
func TestReapBesideServer(t *testing.T) {
	e := fakeengine.New(t, fakeengine.Options{
		Images: map[string]fakeengine.Image{"guest": {}},
		Programs: map[string]fakeengine.Program{
			"idle":  func(p *fakeengine.Process) int { <-p.Done; return 0 },
			"shell": func(p *fakeengine.Process) int { fmt.Fprintln(p.Stdout, "ready"); <-p.Done; return 0 },
		},
	})
	state := t.TempDir()
	s := testberth.Start(t, fmt.Sprintf(`docker:
  connection: {host: %q}
  execution: {agent: none, idleCommand: [idle], shellCommand: [shell], container: {image: guest}}
`, e.Host()), state)
	cmd := s.SSH(t.Context(), "x")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	instance, err := os.ReadFile(filepath.Join(state, "instance"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := leaveOn(e.Host(), map[string]string{"berth.instance": strings.TrimSpace(string(instance)), "berth.run": "before"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ option, says string }{
		{"--dry-run", "1 container and 0 volumes to remove; nothing has been removed\n"},
		{"--dry-run=false", "1 container and 0 volumes removed\n"},
	} {
		if n := len(e.Containers()); n != 2 {
			t.Errorf("%d containers before reap %s", n, c.option)
		}
		// The engine is the server's, whatever another file says.
		out, err := exec.Command("berth", "reap", "--state-dir", state, c.option).CombinedOutput()
		if err != nil || !strings.Contains(string(out), left[:12]+" ") || !strings.HasSuffix(string(out), "\n"+c.says) {
			t.Errorf("reap %s: %v\n%s", c.option, err, out)
		}
	}
	if n := len(e.Containers()); n != 1 {
		t.Errorf("%d containers are left, want the connection's", n)
	}
}
