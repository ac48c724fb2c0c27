package sshserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is logged how often, so much is written; and what is left out is
// counted, by all loggers that come of one together.
func TestLogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written bytes.Buffer
		log := slog.New(newSparing(slog.NewTextHandler(&written, nil), 2, 10)).With("connection", 1)
		other := log.With("user", "alice").WithGroup("group")
		for range 500 {
			log.Warn("one")
			other.Info("another")
		}
		if n := strings.Count(written.String(), "\n"); n != 10 {
			t.Errorf("%d lines were written", n)
		}
		written.Reset()
		time.Sleep(2 * time.Second)
		for range 500 {
			log.Info("again")
		}
		if n := strings.Count(written.String(), "\n"); n != 4 {
			t.Errorf("%d lines were written two seconds later", n)
		}
		if !strings.Contains(written.String(), "msg=again connection=1 omitted=990\n") {
			t.Errorf("no word of those left out:\n%s", written.String())
		}
	})
}
