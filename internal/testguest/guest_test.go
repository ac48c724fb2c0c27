package testguest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/internal/engine"
)

// Every guest is there when its name is, also the second time.
func TestGuests(t *testing.T) {
	e, err := engine.Open(engine.Settings{Host: EngineHost()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	for name, guest := range map[string]func(testing.TB) string{"debian": Debian, "busybox": Busybox, "scratch": Scratch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := guest(t)
			if again := guest(t); again != image {
				t.Errorf("two names for one guest: %s, then %s", image, again)
			}
			withAgent := WithAgent(t, image)
			if withAgent == image {
				t.Errorf("%s is its own name with the agent", image)
			}
			for _, i := range []string{image, withAgent} {
				if _, err := e.InspectImage(t.Context(), i); err != nil {
					t.Errorf("inspect %s: %v", i, err)
				}
			}
		})
	}
}

func TestAgentNeedsGuest(t *testing.T) {
	if name, err := withAgent(t.Context(), "debian:12"); err == nil {
		t.Errorf("an image of somebody else was taken: %s", name)
	}
}

// Of many that want a file, one makes it; a failure leaves nothing behind.
func TestEnsureFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	boom := errors.New("boom")
	if _, err := ensureFile(t.Context(), "f", func(path string) error {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			return err
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Fatalf("got %v, want boom", err)
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := ensureFile(t.Context(), "f", func(path string) error {
				made.Add(1)
				return os.WriteFile(path, []byte("whole"), 0o600)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "whole" {
				t.Errorf("read %s: %q, %v", path, b, err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.part")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times, want once", n)
	}
}
