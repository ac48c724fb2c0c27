package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

// Options are what a Connection is made with.
type Options struct {
	Provider Provider
	Mode     Mode
	// CodePrefix stands before the codes of errors, for example "DOCKER_".
	CodePrefix string
	// Provision bounds making a workload. Zero means no bound: the provider
	// bounds its own steps.
	Provision time.Duration
	// Start, Signal, Window and Stop bound starting a program, delivering a
	// signal, resizing a terminal, and removing a workload. Zero means one
	// minute.
	Start, Signal, Window, Stop time.Duration
	// HangupGrace is how long programs may take to end after each of HUP and
	// TERM, once their channel is closed. Zero means two seconds.
	HangupGrace time.Duration
	// Forwarding says that all workloads are Forwarders. Without it clients'
	// forwards are refused, with NoForwarding as the reason for the log.
	Forwarding   bool
	NoForwarding string
	// Logger must not be nil.
	Logger *slog.Logger
	// Release is called at the end of OnDisconnect; may be nil.
	Release func()
}

// Connection serves one SSH connection with workloads of a Provider. It does
// not authenticate anybody: all of the authentication methods answer
// AuthResponseUnavailable, to be decided by a handler in front of it.
type Connection struct {
	options Options
	login   Login
	log     *slog.Logger

	// ctx ends when the client has left. Everything that is done for the
	// client hangs on it, but for removal.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// work counts the goroutines of sessions and of provisioning.
	work sync.WaitGroup

	// server is the address that the client came to; set before all else.
	server net.TCPAddr

	mu       sync.Mutex // for memory only
	sessions map[*session]struct{}
	left     bool // OnDisconnect has begun; no session may start
	// draining says that the server is going down, until when it goes on.
	draining bool
	until    time.Time
	// shared is the workload that no session owns: that of ModeConnection, or
	// in ModeSession one that a forward wanted before there was a session, which
	// the first one takes over.
	shared *sharedWorkload
	// workloads are all that exist, in the order in which they were wanted.
	workloads []*sharedWorkload
}

var (
	_ sshserver.NetworkConnectionHandler = (*Connection)(nil)
	_ sshserver.SSHConnectionHandler     = (*Connection)(nil)
	_ sshserver.SessionChannelHandler    = (*session)(nil)
	_ sshserver.LocalAddressHandler      = (*Connection)(nil)
	_ sshserver.DrainHandler             = (*Connection)(nil)
	_ sshserver.ForwardHandler           = (*Connection)(nil)
	_ sshserver.SessionForwardHandler    = (*session)(nil)
)

// errClientLeft is the cause of what is cancelled at the end of a connection.
var errClientLeft = errors.New("the client has left")

// NewConnection makes the handler of one network connection. Its owner must
// call OnDisconnect when the connection has ended.
func NewConnection(client net.TCPAddr, connectionID string, o Options) *Connection {
	minute := func(d *time.Duration) {
		if *d <= 0 {
			*d = time.Minute
		}
	}
	minute(&o.Start)
	minute(&o.Signal)
	minute(&o.Window)
	minute(&o.Stop)
	if o.HangupGrace <= 0 {
		o.HangupGrace = 2 * time.Second
	}
	// The handlers of package sshserver have no context: a connection's life
	// begins here and ends with OnDisconnect.
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Connection{
		options:  o,
		login:    Login{ConnectionID: connectionID, Client: client},
		log:      o.Logger,
		ctx:      ctx,
		cancel:   cancel,
		sessions: map[*session]struct{}{},
	}
}

// OnAuthNone leaves the decision to others.
func (c *Connection) OnAuthNone(string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoAuthentication
}

// OnAuthPassword leaves the decision to others.
func (c *Connection) OnAuthPassword(string, []byte) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoAuthentication
}

// OnAuthPubKey leaves the decision to others.
func (c *Connection) OnAuthPubKey(string, string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoAuthentication
}

// OnAuthKeyboardInteractive leaves the decision to others.
func (c *Connection) OnAuthKeyboardInteractive(string, sshserver.Challenge) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoAuthentication
}

var errNoAuthentication = errors.New("this backend authenticates nobody: put an authenticator in front of it")

// OnHandshakeFailed needs no action: nothing has been made yet.
func (c *Connection) OnHandshakeFailed(error) {}

// OnHandshakeSuccess begins to make the connection's workload, in
// ModeConnection, and returns at once.
func (c *Connection) OnHandshakeSuccess(username string) (sshserver.SSHConnectionHandler, error) {
	c.login.Username = username
	if c.options.Mode == ModeConnection {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.shared = c.begin(c.ctx, nil)
	}
	return c, nil
}

// OnLocalAddress keeps the address for the programs' environment.
func (c *Connection) OnLocalAddress(server net.TCPAddr) { c.server = server }

// begin begins to make a workload. Called with the lock.
func (c *Connection) begin(ctx context.Context, program *Program) *sharedWorkload {
	s := newSharedWorkload()
	c.workloads = append(c.workloads, s)
	c.work.Go(func() {
		s.settle(c.provision(ctx, Launch{Login: c.login, Program: program, Progress: s.progress}))
	})
	return s
}

// claim gives a session its workload. In ModeSession the session owns it, and
// ends it; ctx is the session's.
func (c *Connection) claim(ctx context.Context, program *Program) (s *sharedWorkload, owned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.options.Mode == ModeConnection {
		return c.shared, false
	}
	c.forget()
	if s, c.shared = c.shared, nil; s == nil {
		s = c.begin(ctx, program)
	}
	return s, true
}

// forget drops, in ModeSession, what could not be made, since it says nothing of
// what can be made now. Called with the lock.
func (c *Connection) forget() {
	if c.options.Mode == ModeConnection {
		return
	}
	c.workloads = slices.DeleteFunc(c.workloads, (*sharedWorkload).failed)
	if c.shared != nil && c.shared.failed() {
		c.shared = nil
	}
}

// end removes a workload, once it has been made.
func (c *Connection) end(s *sharedWorkload) {
	c.mu.Lock()
	c.workloads = slices.DeleteFunc(c.workloads, func(w *sharedWorkload) bool { return w == s })
	c.mu.Unlock()
	<-s.ready
	if s.workload != nil {
		c.remove(s.workload)
	}
}

// provision makes a workload within the time for it.
func (c *Connection) provision(ctx context.Context, l Launch) (Workload, error) {
	if c.options.Provision > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.options.Provision)
		defer cancel()
	}
	return c.options.Provider.Provision(ctx, l)
}

// remove closes a workload with a context of its own: the one that it was made
// with may have ended, and that is when removal matters most.
func (c *Connection) remove(w Workload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.options.Stop)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		c.log.Error("could not remove the container; it is left for the reaper", "error", err, "code", Code(err))
	}
}

// OnUnsupportedGlobalRequest logs the request.
func (c *Connection) OnUnsupportedGlobalRequest(_ uint64, requestType string, _ []byte) {
	c.log.Debug("refused a global request of unknown type", "type", requestType)
}

// OnUnsupportedChannel logs the channel.
func (c *Connection) OnUnsupportedChannel(_ uint64, channelType string, _ []byte) {
	c.log.Debug("refused a channel of unknown type", "type", channelType)
}

// OnSessionChannel makes a session, in which nothing runs yet.
func (c *Connection) OnSessionChannel(channelID uint64, _ []byte) (sshserver.SessionChannelHandler, error) {
	ctx, cancel := context.WithCancelCause(c.ctx)
	s := &session{
		c:      c,
		ctx:    ctx,
		cancel: cancel,
		log:    c.log.With("channel", channelID),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		cancel(errClientLeft)
		return nil, &sshserver.ChannelRejection{
			Reason: sshserver.ConnectionFailed, Message: "The connection is closing.",
		}
	}
	c.sessions[s] = struct{}{}
	return s, nil
}

// OnDrain tells those who sit at a terminal when what they run is ended.
func (c *Connection) OnDrain(until time.Time) {
	c.mu.Lock()
	c.draining, c.until = true, until
	running := slices.Collect(maps.Keys(c.sessions))
	c.mu.Unlock()
	for _, s := range running {
		s.warn()
	}
}

// OnShutdown asks all programs to end, with TERM, or HUP for shells on terminals,
// and returns. Those that go on are ended when the server cuts the connection.
func (c *Connection) OnShutdown(ctx context.Context) {
	c.mu.Lock()
	running := slices.Collect(maps.Keys(c.sessions))
	c.mu.Unlock()
	c.log.Info("shutting down", "code", c.options.CodePrefix+"CONTAINER_SHUTTING_DOWN", "sessions", len(running))
	var wg sync.WaitGroup
	for _, s := range running {
		wg.Go(func() { s.terminate(ctx) })
	}
	wg.Wait()
}

// OnDisconnect ends all programs and removes the workloads. It returns when
// that is done, or has been given up after Options.Stop.
func (c *Connection) OnDisconnect() {
	c.mu.Lock()
	c.left = true
	c.mu.Unlock()
	c.cancel(errClientLeft)
	c.work.Wait()
	if c.shared != nil {
		c.end(c.shared)
	}
	if c.options.Release != nil {
		c.options.Release()
	}
}

// fail is an error for the user and the log, with one of the codes that this
// package gives out itself.
func (c *Connection) fail(code, user string, err error) *Error {
	return &Error{Code: c.options.CodePrefix + code, User: user, Err: err}
}

// sharedWorkload is a workload that is being made, or the error instead, which
// any number of sessions and forwards wait for.
type sharedWorkload struct {
	ready    chan struct{}
	workload Workload // set before ready is closed
	err      error

	mu       sync.Mutex // for memory only; watchers are called without it
	last     string
	watchers map[*notice]struct{}
}

func newSharedWorkload() *sharedWorkload {
	return &sharedWorkload{ready: make(chan struct{}), watchers: map[*notice]struct{}{}}
}

func (s *sharedWorkload) settle(w Workload, err error) {
	s.workload, s.err = w, err
	close(s.ready)
}

// failed says whether it has come to nothing.
func (s *sharedWorkload) failed() bool {
	select {
	case <-s.ready:
		return s.err != nil
	default:
		return false
	}
}

// progress passes a step on to all sessions that wait.
func (s *sharedWorkload) progress(step string) {
	s.mu.Lock()
	s.last = step
	watchers := make([]*notice, 0, len(s.watchers))
	for n := range s.watchers {
		watchers = append(watchers, n)
	}
	s.mu.Unlock()
	for _, n := range watchers {
		n.post(step)
	}
}

// wait returns the workload as soon as there is one, and meanwhile shows on n
// what it is waiting for.
func (s *sharedWorkload) wait(ctx context.Context, n *notice) (Workload, error) {
	s.mu.Lock()
	s.watchers[n] = struct{}{}
	last := s.last
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, n)
		s.mu.Unlock()
	}()
	if last != "" {
		n.post(last)
	}
	return s.get(ctx)
}

// get returns the workload as soon as there is one.
func (s *sharedWorkload) get(ctx context.Context) (Workload, error) {
	select {
	case <-s.ready:
		return s.workload, s.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the container: %w", context.Cause(ctx))
	}
}
