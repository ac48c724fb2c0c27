package backend

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// On a terminal each step takes the place of the one before, and nothing is
// left of them when the program begins.
func TestNoticeOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		n := newNotice(&s, true, time.Hour)
		n.post("one")
		synctest.Wait()
		n.post("one")
		synctest.Wait()
		n.post("two")
		synctest.Wait()
		n.stop()
		want := "\rberth: one\x1b[K\rberth: two\x1b[K\r\x1b[K"
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Without a terminal a short wait leaves no trace, and a long one a line.
func TestNoticeWithoutTerminal(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		want string
	}{
		{time.Second, ""},
		{time.Minute, "berth: one\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s screen
			n := newNotice(&s, false, 3*time.Second)
			n.post("one")
			time.Sleep(c.wait)
			synctest.Wait()
			n.post("two")
			synctest.Wait()
			n.stop()
			if got := s.String(); got != c.want {
				t.Errorf("after %v: %q, want %q", c.wait, got, c.want)
			}
		})
	}
}

// A quick wait that is over before anything was said is not held up.
func TestNoticeStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := newNotice(&screen{}, false, time.Hour)
		n.stop()
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("stop has waited for %v", waited)
		}
	})
}
