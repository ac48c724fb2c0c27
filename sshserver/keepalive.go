package sshserver

import (
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"
)

// keepAlive cuts the connection when the client has vanished. A client that
// has been silent for an interval is asked for a sign of life; any byte from it
// is one. It returns when stop is closed or the connection has been cut.
func (c *connection) keepAlive(conn ssh.Conn, log *slog.Logger, stop <-chan struct{}) {
	interval, limit := c.settings.keepAliveInterval, c.settings.keepAliveCountMax

	// Asking blocks until the answer, and when the client's TCP takes nothing
	// more; it must not stop the clock.
	ask := make(chan struct{}, 1)
	defer close(ask)
	c.tasks.Go(func() {
		for range ask {
			// The answer counts as bytes.
			_, _, _ = conn.SendRequest(requestKeepAlive, true, nil)
		}
	})

	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	seen := c.net.reads.Load()
	questions := 0
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		if now := c.net.reads.Load(); now != seen {
			seen, questions = now, 0
			continue
		}
		if questions >= limit {
			log.Info("the client has vanished; the connection is cut",
				"silence", interval*time.Duration(questions+1))
			c.cut()
			return
		}
		questions++
		select {
		case ask <- struct{}{}:
		default: // the previous question has not even been sent
		}
	}
}
