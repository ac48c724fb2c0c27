package sshserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// channelGrace is how long a channel beyond the limit waits for another to be
// gone. A client may open a session as soon as it has closed the one before,
// and the goroutine that uncounts that one may wait for the scheduler, which
// slices time by ten milliseconds.
const channelGrace = 20 * time.Millisecond

// connection is one network connection, from its accept to its OnDisconnect.
type connection struct {
	// Immutable.
	settings *settings
	place    *place
	tally    *tally
	id       string
	net      *transport
	log      *slog.Logger // without the user, who is not known yet
	// stranger is log for what a client does before its login.
	stranger *slog.Logger

	// ctx ends when the connection is cut. The Server's interface has no
	// context: connections begin here.
	ctx    context.Context
	cancel context.CancelFunc

	// done is closed by the Server at the end of the connection.
	done chan struct{}

	// offence is how the connection ended, for the Server; set by serve.
	offence offence

	// conn and forwards are set before there are channels.
	conn     ssh.Conn
	forwards counter

	// tasks are the goroutines that call handlers; OnDisconnect waits for them.
	// Only attend, refuse, and tasks start tasks.
	tasks sync.WaitGroup

	// exchanges are the key exchanges of its own; slowed says once that there
	// are no more.
	exchanges *rate.Limiter
	slowed    sync.Once

	// freed gets a value when a channel is uncounted.
	freed chan struct{}

	// mu guards what follows. It is held for memory only.
	mu      sync.Mutex
	handler NetworkConnectionHandler // nil until OnNetworkConnection has returned
	login   SSHConnectionHandler     // nil until OnHandshakeSuccess has returned
	// draining is set by retire: no more channels, and the end with the last.
	draining bool
	// channels counts the sessions from their request until after OnClose.
	channels int
	// listeners are those that the client has asked for, as it knows them.
	listeners map[Address]Listener
	// shutdowns counts the calls of OnDrain and OnShutdown that run; ended says
	// that there will be no more.
	shutdowns sync.WaitGroup
	ended     bool
}

func newConnection(netConn net.Conn, place *place, settings *settings, tally *tally) *connection {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{
		settings:  settings,
		place:     place,
		tally:     tally,
		id:        hex.EncodeToString(id[:]),
		net:       newTransport(netConn),
		ctx:       ctx,
		cancel:    cancel,
		done:      make(chan struct{}),
		exchanges: newExchanges(),
		freed:     make(chan struct{}, 1),
		forwards:  counter{limit: settings.maxForwards},
		listeners: map[Address]Listener{},
	}
	c.net.overfull = func() { tally.refused(limitLoginBytes) }
	c.net.backlog = newBacklog(settings.maxUnread)
	c.net.flooded = func() {
		tally.refused(limitUnread)
		c.log.Warn("the client has sent too much that no program has read; its connection is cut", "limit", settings.maxUnread)
	}
	remote := remoteName(netConn)
	c.log = slog.New(newSparing(settings.log.Handler(), connectionRecords, connectionBurst)).With("connection", c.id, "remote", remote)
	c.stranger = settings.strangers.With("connection", c.id, "remote", remote)
	return c
}

// serve is the life of the connection, at whose end over is called.
func (c *connection) serve(over func()) {
	handler, ok := c.meet()
	if !ok {
		c.cut()
		over()
		return
	}
	attend := c.admit(handler)
	if attend == nil {
		c.end(handler)
		over()
		return
	}
	// The login has made this stack large. What waits from now on, for as long
	// as the client stays, begins with a small one.
	go func() {
		attend()
		c.end(handler)
		over()
	}()
}

// meet gets the handler of a new connection.
func (c *connection) meet() (handler NetworkConnectionHandler, ok bool) {
	var err error
	ok = c.call(c.stranger, "OnNetworkConnection", func() {
		handler, err = c.settings.handler.OnNetworkConnection(tcpAddr(c.net.RemoteAddr()), c.id)
	})
	if !ok {
		return nil, false
	}
	if err != nil {
		c.stranger.Info("connection refused", "error", err)
		return nil, false
	}
	c.log.Debug("connected")
	c.mu.Lock()
	c.handler = handler
	c.mu.Unlock()
	return handler, true
}

// end is what happens when the client is gone, or is to go.
func (c *connection) end(handler NetworkConnectionHandler) {
	c.cut()
	c.tasks.Wait()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.call(c.log, "OnDisconnect", handler.OnDisconnect)
	c.shutdowns.Wait()
}

// attend serves channels and global requests until the connection ends. The library
// stalls the whole connection when nobody takes its requests: each channel is served
// in a goroutine of its own, and global requests by another one, in their order (RFC
// 4254 section 4), since one may have to wait for what the handlers are still making.
func (c *connection) attend(login SSHConnectionHandler, log *slog.Logger, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var nextChannel, nextRequest uint64
	waiting := &queue{most: maxWaitingGlobal, tasks: &c.tasks, serve: func(req *ssh.Request) {
		c.serveRequest(login, log, nextRequest, req)
		nextRequest++
	}}
	flooded := false
	for channels != nil || requests != nil {
		select {
		case ch, ok := <-channels:
			if !ok {
				channels = nil
				continue
			}
			c.serveChannel(login, log, nextChannel, ch)
			nextChannel++
		case req, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			if flooded || waiting.add(req) {
				continue
			}
			flooded = true
			c.tally.refused(limitRequests)
			log.Warn("the client sends global requests faster than they are handled; its connection is cut")
			c.cut()
		}
	}
}

// maxWaitingGlobal bounds the global requests that wait for others to be
// answered; maxWaitingBytes bounds them, too.
const maxWaitingGlobal = 256

func (c *connection) serveRequest(login SSHConnectionHandler, log *slog.Logger, id uint64, req *ssh.Request) {
	var at Address
	var err error
	switch req.Type {
	case requestListenTCP, requestCancelTCP:
		at, err = parseListenTCP(req.Payload)
	case requestListenUnix, requestCancelUnix:
		at, err = parseListenUnix(req.Payload)
	}
	switch {
	case err != nil:
		log.Info("global request refused: malformed", "type", req.Type, "error", err)
		_ = req.Reply(false, nil)
	case req.Type == requestKeepAlive:
		_ = req.Reply(true, nil)
	case req.Type == requestListenTCP || req.Type == requestListenUnix:
		c.listen(login, log, id, req, at)
	case req.Type == requestCancelTCP || req.Type == requestCancelUnix:
		_ = req.Reply(c.closeListener(at), nil)
	default:
		_ = req.Reply(false, nil)
		log.Debug("global request refused: unknown type", "type", req.Type)
		c.call(log, "OnUnsupportedGlobalRequest", func() {
			login.OnUnsupportedGlobalRequest(id, req.Type, req.Payload)
		})
	}
}

// serveChannel serves a channel in a goroutine of its own.
func (c *connection) serveChannel(login SSHConnectionHandler, log *slog.Logger, id uint64, ch ssh.NewChannel) {
	if ch.ChannelType() != channelSession {
		c.serveForward(login, log, id, ch)
		return
	}
	if reason, words := c.addChannel(); words != "" {
		c.tally.refused(limitSessions)
		log.Info("session refused: "+words, "limit", c.settings.maxChannels)
		_ = ch.Reject(reason, words)
		return
	}
	c.tasks.Go(func() { c.serveSession(login, log.With("channel", id), id, ch) })
}

// serveForward is serveChannel for what is no session.
func (c *connection) serveForward(login SSHConnectionHandler, log *slog.Logger, id uint64, ch ssh.NewChannel) {
	var dial dialPayload
	var err error
	switch ch.ChannelType() {
	case channelDialTCP:
		dial, err = parseDialTCP(ch.ExtraData())
	case channelDialUnix:
		dial, err = parseDialUnix(ch.ExtraData())
	default:
		_ = ch.Reject(ssh.UnknownChannelType, "this server does not know channels of this type")
		log.Debug("channel refused: unknown type", "type", ch.ChannelType())
		c.call(log, "OnUnsupportedChannel", func() {
			login.OnUnsupportedChannel(id, ch.ChannelType(), ch.ExtraData())
		})
		return
	}
	if err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, "malformed request")
		log.Info("channel refused: malformed", "type", ch.ChannelType(), "error", err)
		return
	}
	c.tasks.Go(func() { c.serveDial(login, log.With("channel", id), id, ch, dial) })
}

// addChannel counts a new session, or says why there can't be one. It may wait
// for channelGrace.
func (c *connection) addChannel() (reason ssh.RejectionReason, words string) {
	var timeout <-chan time.Time
	for {
		full, draining := c.tryAddChannel()
		switch {
		case draining:
			return ssh.ResourceShortage, "the server is shutting down"
		case !full:
			return 0, ""
		}
		if timeout == nil {
			timer := time.NewTimer(channelGrace)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-c.freed:
		case <-timeout:
			return ssh.ResourceShortage, "too many sessions on this connection"
		}
	}
}

func (c *connection) tryAddChannel() (full, draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.settings.maxChannels
	full = limit >= 0 && c.channels >= limit
	if !full && !c.draining {
		c.channels++
	}
	return full, c.draining
}

// removeChannel uncounts a session. It closes the connection after the last one
// of a shutdown.
func (c *connection) removeChannel() {
	c.mu.Lock()
	c.channels--
	last := c.draining && c.channels == 0
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default:
	}
	if last {
		c.cut()
	}
}

// drain lets the connection end with its last channel, and says until when.
func (c *connection) drain(until time.Time) {
	c.retire("OnDrain", func() func() {
		if h, ok := c.login.(DrainHandler); ok {
			return func() { h.OnDrain(until) }
		}
		return nil
	})
}

// shutdown is drain for programs that are to end now.
func (c *connection) shutdown(ctx context.Context) {
	c.retire("OnShutdown", func() func() {
		if h := c.handler; h != nil {
			return func() { h.OnShutdown(ctx) }
		}
		return nil
	})
}

// retire takes no more channels, closes a connection without any, and tells its
// handler in a goroutine of its own; who is called with the lock and may give
// nobody to tell.
func (c *connection) retire(what string, who func() func()) {
	c.mu.Lock()
	c.draining = true
	idle := c.channels == 0
	var tell func()
	if !c.ended {
		tell = who()
	}
	if tell != nil {
		c.shutdowns.Add(1)
	}
	c.mu.Unlock()

	if tell != nil {
		go func() {
			defer c.shutdowns.Done()
			c.call(c.log, what, tell)
		}()
	}
	if idle {
		c.cut()
	}
}

// cut closes the network connection; everything else follows from that.
func (c *connection) cut() {
	c.cancel()
	_ = c.net.Close()
}

// call calls a handler. A panic there ends this connection and not the server:
// nothing that a client sends may do that.
func (c *connection) call(log *slog.Logger, what string, f func()) (ok bool) {
	defer func() {
		if ok {
			return
		}
		log.Error("panic in a handler; the connection is closed",
			"handler", what, "panic", recover(), "stack", string(debug.Stack()))
		c.cut()
	}()
	f()
	return true
}

func remoteName(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

// tcpAddr is addr as handlers want it; zero for what is no TCP address, such
// as that of a unix socket.
func tcpAddr(addr net.Addr) net.TCPAddr {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp != nil {
		return *tcp
	}
	if addr != nil {
		if parsed, err := netip.ParseAddrPort(addr.String()); err == nil {
			return *net.TCPAddrFromAddrPort(parsed)
		}
	}
	return net.TCPAddr{}
}
