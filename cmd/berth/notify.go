package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// supervisor is the service manager that has started the server, if it wants to
// hear of it: systemd's protocol is one datagram for each message (sd_notify(3)).
type supervisor struct {
	conn *net.UnixConn // nil without one
	// watchdog is how often the server says that it is alive; zero for never.
	watchdog time.Duration
}

// statusInterval is how often the text that systemctl shows is looked at where
// there is no watchdog.
const statusInterval = 10 * time.Second

// newSupervisor finds the socket in the environment. One that can't be reached is
// an error: systemd would wait for a message in vain, and then end the server.
func newSupervisor(getenv func(string) string) (*supervisor, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return &supervisor{}, nil
	}
	// A name that begins with @ is abstract: package net knows that, too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, fmt.Errorf("the service manager's socket (NOTIFY_SOCKET) cannot be used: %w", err)
	}
	s := &supervisor{conn: conn}
	usec, _ := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if pid := getenv("WATCHDOG_PID"); usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(usec) * time.Microsecond / 2
	}
	return s, nil
}

// say sends a message. What can't be sent is lost: the server serves all the same.
func (s *supervisor) say(format string, args ...any) {
	if s.conn != nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(s.conn, format, args...)
	}
}

// watch says until ctx ends how the server is, as status describes it, and that it
// is alive whenever alive returns true. An alive that does not return is as good
// as false: then systemd ends the server, and starts it anew.
func (s *supervisor) watch(ctx context.Context, status func() string, alive func() bool) {
	if s.conn == nil {
		return
	}
	interval := statusInterval
	if s.watchdog > 0 {
		interval = s.watchdog
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for last := ""; ; {
		if text := status(); text != last {
			s.say("STATUS=%s", text)
			last = text
		}
		if s.watchdog > 0 && alive() {
			s.say("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *supervisor) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// watchedListener knows whether somebody waits for connections. A loop that has
// taken one and does not come back for the next has come to a halt.
type watchedListener struct {
	net.Listener
	// left is when Accept has last returned, in nanoseconds of the Unix time; zero
	// while it waits.
	left atomic.Int64
}

func (l *watchedListener) Accept() (net.Conn, error) {
	l.left.Store(0)
	defer func() { l.left.Store(time.Now().UnixNano()) }()
	return l.Listener.Accept()
}

// away is how long nobody has waited for connections.
func (l *watchedListener) away() time.Duration {
	if left := l.left.Load(); left != 0 {
		return time.Since(time.Unix(0, left))
	}
	return 0
}
