package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// shared is what a program writes, to be looked at while it does.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *shared) contains(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), words)
}

// A fork bomb meets the limit of its own container. Others log in and work
// meanwhile, and it ends with its client.
func TestForkBomb(t *testing.T) {
	mark := label(t)
	// Less than the default, to spare the machine.
	s := testberth.Start(t, lab(mark, testguest.Busybox(t), "host: {pidslimit: 200}"), t.TempDir())
	var stderr shared
	bomb := s.SSH(t.Context(), "bomb() { bomb | bomb & }; bomb; sleep 1000")
	bomb.Stderr = &stderr
	if err := bomb.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bomb.Process.Kill()
		_ = bomb.Wait()
	})
	waitFor(t, "the limit to be met", func() bool { return stderr.contains("can't fork") })
	for range 5 {
		if out, err := s.SSH(t.Context(), "echo fine").Output(); err != nil || string(out) != "fine\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	_ = bomb.Process.Kill()
	waitFor(t, "no container", func() bool { return len(containers(t, mark)) == 0 })
}
