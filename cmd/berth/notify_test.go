package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/internal/testberth"
)

// manager is a service manager's end of the socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	past []string // what has been read
}

// newManager listens where a server is to be told by the environment.
func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t: t, conn: conn}
}

// next is the next message.
func (m *manager) next() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	var b [4096]byte
	n, err := m.conn.Read(b[:])
	if err != nil {
		m.t.Fatalf("no further message after %q: %v", m.past, err)
	}
	m.past = append(m.past, string(b[:n]))
	return string(b[:n])
}

// until reads up to a message with a line, and returns the messages before it.
func (m *manager) until(line string) (before []string, found string) {
	m.t.Helper()
	for {
		message := m.next()
		for l := range strings.SplitSeq(message, "\n") {
			if l == line {
				return before, message
			}
		}
		before = append(before, message)
	}
}

// A service manager hears when the server is ready, how many are connected, that
// it is alive, also while the engine is not, and when it stops.
func TestNotify(t *testing.T) {
	for name, socket := range map[string]func(t *testing.T) string{
		"path":     func(t *testing.T) string { return filepath.Join(shortDir(t), "notify") },
		"abstract": func(*testing.T) string { return fmt.Sprintf("@berth-test-%d", os.Getpid()) },
	} {
		t.Run(name, func(t *testing.T) {
			address := socket(t)
			m := newManager(t, address)
			t.Setenv("NOTIFY_SOCKET", address)
			t.Setenv("WATCHDOG_USEC", "200000")
			e := fakeengine.New(t, fakeengine.Options{
				Images: map[string]fakeengine.Image{"guest": {}},
				Programs: map[string]fakeengine.Program{"idle": func(p *fakeengine.Process) int {
					select {
					case <-p.Done:
					case <-p.Signals:
					}
					return 0
				}, "shell": func(p *fakeengine.Process) int {
					fmt.Fprintln(p.Stdout, "ready")
					<-p.Done
					return 0
				}},
			})
			s := testberth.Start(t, fmt.Sprintf(`
ssh: {drainTimeout: 90s}
docker:
  connection: {host: %q}
  execution: {container: {image: guest}, agent: none, idleCommand: [idle], shellCommand: [shell]}
`, e.Host()), t.TempDir())
			before, _ := m.until("READY=1")
			if len(before) > 0 {
				t.Errorf("%q before it was ready", before)
			}
			m.until("STATUS=0 connections, 0 containers")
			m.until("WATCHDOG=1")
			_, cmd := ready(t, s, "x")
			m.until("STATUS=1 connections, 1 containers")
			_ = cmd.Process.Kill()
			m.until("STATUS=0 connections, 0 containers")
			s.Signal(syscall.SIGHUP)
			m.until("RELOADING=1")
			m.until("READY=1")
			e.Stop()
			for range 5 {
				m.until("WATCHDOG=1")
			}
			e.Restart(t)
			s.Signal(syscall.SIGTERM)
			_, stopping := m.until("STOPPING=1")
			// 90 s, 5 for programs, 30 for connections, and 60 for containers.
			if !strings.Contains(stopping, "\nSTATUS=stopping: 0 connections") || !strings.HasSuffix(stopping, "\nEXTEND_TIMEOUT_USEC=185000000") {
				t.Errorf("said %q", stopping)
			}
			if err := s.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nothing"))
		if said := refuse(t, ""); !strings.Contains(said, "NOTIFY_SOCKET") {
			t.Errorf("said %q", said)
		}
	})
}

// shortDir is a directory whose name leaves room in a socket's address.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Who says no more that the server is alive is heard of by nobody.
func TestWatchdog(t *testing.T) {
	socket := filepath.Join(shortDir(t), "notify")
	m := newManager(t, socket)
	open := func(pid string) *supervisor {
		env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": pid}
		s, err := newSupervisor(func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		return s
	}
	if s := open(strconv.Itoa(os.Getppid())); s.watchdog != 0 {
		t.Errorf("a watchdog of %v for somebody else", s.watchdog)
	}
	s := open(strconv.Itoa(os.Getpid()))
	if s.watchdog != 10*time.Millisecond {
		t.Errorf("a watchdog of %v, want half of what is asked for", s.watchdog)
	}
	var alive atomic.Bool
	var count atomic.Int64
	alive.Store(true)
	go s.watch(t.Context(), func() string { return strconv.FormatInt(count.Load(), 10) }, alive.Load)
	m.until("WATCHDOG=1")
	alive.Store(false)
	count.Store(1)
	m.until("STATUS=1")
	count.Store(2)
	if before, _ := m.until("STATUS=2"); len(before) > 0 {
		t.Errorf("%q from a server that is not alive", before)
	}
	alive.Store(true)
	m.until("WATCHDOG=1")
}

// openListener has connections for whoever asks, until it is closed.
type openListener struct{ connections chan net.Conn }

func (l openListener) Accept() (net.Conn, error) {
	if c, ok := <-l.connections; ok {
		return c, nil
	}
	return nil, errors.New("closed")
}
func (openListener) Close() error   { return nil }
func (openListener) Addr() net.Addr { return &net.TCPAddr{} }

// A loop that takes a connection and does not come back is noticed; one that waits
// for the next is not, for however long.
func TestWatchedListener(t *testing.T) {
	inner := openListener{make(chan net.Conn)}
	l := &watchedListener{Listener: inner}
	again := make(chan struct{})
	go func() {
		for range again {
			_, _ = l.Accept()
		}
	}()
	defer close(again)
	if away := l.away(); away != 0 {
		t.Errorf("away for %v before the first", away)
	}
	again <- struct{}{}
	inner.connections <- nil
	waitFor(t, "the loop to be missed", func() bool { return l.away() > 50*time.Millisecond })
	again <- struct{}{}
	waitFor(t, "the loop to be back", func() bool { return l.away() == 0 })
	close(inner.connections)
}
