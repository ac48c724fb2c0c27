package sshserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrServerClosed is what Serve and ListenAndServe return after Shutdown or
// Close.
var ErrServerClosed = errors.New("sshserver: server closed")

// The defaults of the fields of a Server.
const (
	DefaultAddr              = ":22"
	DefaultServerVersion     = "SSH-2.0-Berth"
	DefaultMaxAuthTries      = 6
	DefaultHandshakeTimeout  = 2 * time.Minute
	DefaultKeepAliveInterval = 30 * time.Second
	DefaultKeepAliveCountMax = 3
	DefaultMaxConnections    = 4096
	DefaultMaxChannels       = 32
	DefaultMaxForwards       = 256
	DefaultMaxEnvVariables   = 128
	DefaultMaxEnvBytes       = 128 << 10
	DefaultMaxUnread         = 64 << 20
	DefaultDisconnectTimeout = 30 * time.Second
)

// Server is an SSH server. Handler and HostKeys are required; the zero value of
// every other field is its default. The fields must not change once Serve has
// been called. A Server can't be used again after Shutdown or Close.
type Server struct {
	// Addr is the TCP address for ListenAndServe, host:port. Empty means
	// ":22" (RFC 4253 section 4.1).
	Addr string

	// Handler is told of every connection. Required.
	Handler Handler

	// HostKeys prove to clients who the server is, at most one key of each
	// type. At least one is required. RSA keys sign with SHA-2 only and have
	// 2048 bits or more. See LoadHostKeys and LoadOrCreateHostKey.
	HostKeys []ssh.Signer

	// AuthMethods are the ways to log in that clients are offered: "none",
	// "password", "publickey", "keyboard-interactive". Nil means publickey.
	AuthMethods []string

	// Banner is shown to the user before the login (RFC 4252 section 5.4).
	// Empty means none. A missing line end is added.
	Banner string

	// ServerVersion is the identification string that is sent first (RFC 4253
	// section 4.2). Empty means "SSH-2.0-Berth".
	ServerVersion string

	// Algorithms are the algorithms that are offered. Each nil list means the
	// default of that list, see DefaultAlgorithms.
	Algorithms Algorithms

	// CipherChoice says whether the client or the server chooses among the
	// ciphers that both have. Empty means CipherChoiceAuto.
	CipherChoice CipherChoice

	// MaxAuthTries is how many attempts to log in may fail before the
	// connection is cut. A refused public key counts; a client's first "none"
	// does not. Zero means 6; negative means no limit but the library's of 128
	// attempts of any outcome.
	MaxAuthTries int

	// HandshakeTimeout is the time from accepting a connection to the end of
	// the login, prompts to the user included. Zero means two minutes, as with
	// OpenSSH; negative means no limit.
	HandshakeTimeout time.Duration

	// KeepAliveInterval is the time without a byte from the client after which
	// the client is asked for a sign of life. Zero means 30 seconds; negative
	// means never: then a client that vanished without a word is noticed only
	// when TCP gives up, which can take hours.
	KeepAliveInterval time.Duration

	// KeepAliveCountMax is how many intervals in a row may pass in silence
	// after the first question before the connection is cut. Zero means 3, so
	// that a vanished client is gone after two minutes.
	KeepAliveCountMax int

	// MaxConnections bounds the connections of all clients together, those in
	// the handshake included. Further ones are refused as soon as they are
	// accepted. Zero means 4096; negative means no limit.
	MaxConnections int

	// MaxStartups bounds those of them that have not logged in. Zero means
	// DefaultStartups.
	MaxStartups Startups

	// PerSource bounds what comes from one address or network.
	PerSource PerSource

	// MaxPerUser bounds the connections that are logged in with one
	// username. Further ones may log in, are told so, and are cut; the handler
	// is told of a failed handshake. Zero means a quarter of MaxConnections but
	// not less than 64; negative means no limit.
	MaxPerUser int

	// Penalties refuse sources whose connections have ended badly.
	Penalties Penalties

	// MaxChannels bounds the open sessions of one connection; further ones are
	// refused with "resource shortage". Up to 2 MiB of input that nobody reads
	// are kept for each channel, so this bounds memory too. Zero means 32,
	// since people share one connection for many sessions; negative means no
	// limit.
	MaxChannels int

	// Forwarding says what clients may forward, of what the handlers can.
	Forwarding Forwarding

	// MaxForwards bounds the forwarded connections of one connection, in all
	// directions together, each of which is a channel. Zero means 256, which a
	// web browser over ssh -D can come near to; negative means no limit.
	MaxForwards int

	// MaxEnvVariables and MaxEnvBytes bound the environment variables that a
	// session may ask for: their number, and the bytes of their names and values
	// together. Further ones are refused. Zero means 128, as many as OpenSSH
	// takes, and 128 KiB, the most that Linux takes for a single one; negative
	// means no limit.
	MaxEnvVariables, MaxEnvBytes int

	// MaxUnread bounds, in bytes, what a client may have sent on one connection
	// that no program has read; who sends more is cut off. It is measured on the
	// network, where a byte in a packet of its own takes 36. A channel takes 2
	// MiB before the client has to wait. Zero means 64 MiB; negative means no
	// limit.
	MaxUnread int

	// DisconnectTimeout bounds how long Shutdown waits for OnDisconnect of the
	// connections that it had to cut. Zero means 30 seconds.
	DisconnectTimeout time.Duration

	// Logger takes the server's log lines, with the connection's id and remote
	// address, and the user after the login. Nil means none.
	Logger *slog.Logger

	tally     tally
	farewells farewells

	// mu guards what follows. It is held for memory only.
	mu          sync.Mutex
	admission   *admission // nil before the first Serve
	closed      bool
	listeners   map[*net.Listener]struct{}
	connections map[*connection]struct{}
}

// ListenAndServe listens on Addr and calls Serve.
func (s *Server) ListenAndServe() error {
	if s.isClosed() {
		return ErrServerClosed
	}
	addr := s.Addr
	if addr == "" {
		addr = DefaultAddr
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("sshserver: %w", err)
	}
	return s.Serve(l)
}

// Serve accepts connections from l and serves each in goroutines of its own,
// until Shutdown or Close; then it returns ErrServerClosed. It returns any
// other error when the Server's fields don't make sense, or when l fails for
// good: running out of file descriptors is waited out. Serve closes l. It may
// be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	// A listener need not be comparable, its address is.
	key := &l
	defer func() { _ = l.Close() }()

	settings, err := s.settings()
	if err != nil {
		return err
	}
	admission := s.addListener(key, settings)
	if admission == nil {
		return ErrServerClosed
	}
	defer s.removeListener(key)

	const maxPause = time.Second
	var pause time.Duration
	for {
		netConn, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return ErrServerClosed
			}
			var temporary interface{ Temporary() bool }
			if !errors.As(err, &temporary) || !temporary.Temporary() {
				return fmt.Errorf("sshserver: accept: %w", err)
			}
			// Out of file descriptors, most likely: connections that end will
			// free some.
			pause = min(max(2*pause, 5*time.Millisecond), maxPause)
			settings.log.Warn("can't accept a connection, trying again", "error", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		s.start(netConn, admission, settings)
	}
}

// start serves a connection in a goroutine of its own, or sends it away.
func (s *Server) start(netConn net.Conn, admission *admission, settings *settings) {
	place, refusal := admission.enter(netConn.RemoteAddr())
	if refusal != nil {
		settings.strangers.Warn("connection refused: "+refusal.words,
			"remote", remoteName(netConn), "limit", limitNames[refusal.limit])
		s.farewells.say(netConn, settings.protocol.ServerVersion, refusal.words)
		return
	}
	c := newConnection(netConn, place, settings, &s.tally)

	s.mu.Lock()
	closed := s.closed
	if !closed {
		if s.connections == nil {
			s.connections = make(map[*connection]struct{})
		}
		s.connections[c] = struct{}{}
	}
	s.mu.Unlock()

	if closed {
		_ = netConn.Close()
		place.leave(noOffence)
		return
	}
	go c.serve(func() { s.removeConnection(c) })
}

// Connections is the number of connections, those in the handshake included.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// Drain begins a graceful end, which Shutdown completes. New connections and
// channels are refused, connections without a channel are closed, and the others
// go on until their last channel has closed; their DrainHandlers are told the
// deadline of ctx. Drain returns nil when no connection is left, or ctx's cause
// when ctx ends before that.
func (s *Server) Drain(ctx context.Context) error {
	until, _ := ctx.Deadline()
	connections := s.close()
	for _, c := range connections {
		c.drain(until)
	}
	return ended(ctx, connections)
}

// ended waits for the ends of connections.
func ended(ctx context.Context, connections []*connection) error {
	for _, c := range connections {
		select {
		case <-c.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Shutdown ends the server gracefully. New connections and channels are
// refused, connections without a channel are closed, and every connection's
// OnShutdown is called in a goroutine of its own, so that programs end; a
// connection is closed when its last channel has closed. When ctx ends before
// that, the remaining connections are cut. Shutdown returns when every
// OnDisconnect has returned.
//
// The error is nil if all connections ended by themselves, or ctx's cause if
// some were cut. When an OnDisconnect takes longer than DisconnectTimeout after
// the cut, Shutdown stops waiting and the error says so.
func (s *Server) Shutdown(ctx context.Context) error {
	connections := s.close()
	defer s.farewells.all.Wait()
	for _, c := range connections {
		c.shutdown(ctx)
	}
	if ended(ctx, connections) != nil {
		return s.cut(ctx, connections)
	}
	return nil
}

// cut closes connections and waits for their ends, for a limited time.
func (s *Server) cut(ctx context.Context, connections []*connection) error {
	timeout := s.DisconnectTimeout
	if timeout == 0 {
		timeout = DefaultDisconnectTimeout
	}
	for _, c := range connections {
		c.cut()
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, c := range connections {
		select {
		case <-c.done:
		case <-timer.C:
			left := 0
			for _, c := range connections {
				select {
				case <-c.done:
				default:
					left++
				}
			}
			return fmt.Errorf("sshserver: %d connections had not finished %v after they were cut: %w",
				left, timeout, context.Cause(ctx))
		}
	}
	return context.Cause(ctx)
}

// Close ends the server at once: listeners and connections are closed. It does
// not wait for the handlers, which hear of it through OnClose and OnDisconnect.
func (s *Server) Close() error {
	for _, c := range s.close() {
		c.cut()
	}
	return nil
}

// close closes the listeners, marks the server as closed, and returns the
// connections that are left. No connection is added after that.
func (s *Server) close() []*connection {
	s.mu.Lock()
	s.closed = true
	var listeners []*net.Listener
	for l := range s.listeners {
		listeners = append(listeners, l)
	}
	var connections []*connection
	for c := range s.connections {
		connections = append(connections, c)
	}
	s.mu.Unlock()

	for _, l := range listeners {
		_ = (*l).Close()
	}
	s.farewells.close()
	return connections
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// addListener returns who decides about the listener's connections, or nil if
// the server is closed.
func (s *Server) addListener(l *net.Listener, settings *settings) *admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.listeners == nil {
		s.listeners = make(map[*net.Listener]struct{})
		s.admission = newAdmission(settings, &s.tally)
	}
	s.listeners[l] = struct{}{}
	return s.admission
}

func (s *Server) removeListener(l *net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) removeConnection(c *connection) {
	c.place.leave(c.offence)
	s.mu.Lock()
	delete(s.connections, c)
	s.mu.Unlock()
	close(c.done)
}
