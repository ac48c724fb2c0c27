package sshserver

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// keepAlive cuts the connection when the client has vanished. A client that has
// been silent for an interval is asked for a sign of life; any byte from it is
// one. There is no goroutine in between: most connections idle most of the time.
type keepAlive struct {
	c     *connection
	conn  ssh.Conn
	log   *slog.Logger
	timer *time.Timer

	mu        sync.Mutex // for memory only
	stopped   bool
	asking    bool // a question has not been answered, or not even been sent
	seen      uint64
	questions int
}

// startKeepAlive starts the clock; stop must be called.
func startKeepAlive(c *connection, conn ssh.Conn, log *slog.Logger) *keepAlive {
	k := &keepAlive{c: c, conn: conn, log: log, seen: c.net.reads.Load()}
	k.mu.Lock() // tick must see the timer
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(c.settings.keepAliveInterval, k.tick)
	return k
}

func (k *keepAlive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}

func (k *keepAlive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	interval := k.c.settings.keepAliveInterval
	switch now := k.c.net.reads.Load(); {
	case now != k.seen:
		k.seen, k.questions = now, 0
	case k.questions >= k.c.settings.keepAliveCountMax:
		k.log.Info("the client has vanished; the connection is cut",
			"silence", interval*time.Duration(k.questions+1))
		k.stopped = true
		go k.c.cut() // which may be slow
		return
	default:
		k.questions++
		if !k.asking {
			k.asking = true
			go k.ask()
		}
	}
	k.timer.Reset(interval)
}

// ask blocks until the answer, which counts as bytes, and also while the
// client's TCP takes nothing more: that must not stop the clock.
func (k *keepAlive) ask() {
	_, _, _ = k.conn.SendRequest(requestKeepAlive, true, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking = false
}
