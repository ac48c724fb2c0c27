package sshserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/internal/relay"
)

const (
	// maxListeners bounds the listeners of one connection.
	maxListeners = 64
	// lingerTimeout is how long the far side of a forward may take to finish
	// with what a client has sent that listens no more.
	lingerTimeout = 10 * time.Second
)

// serveDial serves a channel with which the client asks for a connection.
func (c *connection) serveDial(login SSHConnectionHandler, log *slog.Logger, id uint64, ch ssh.NewChannel, p dialPayload) {
	refuse := func(reason ssh.RejectionReason, words string, err error) {
		log.Info("forward refused: "+words, "to", p.to.String(), "error", err)
		_ = ch.Reject(reason, words)
	}
	handler, ok := login.(ForwardHandler)
	switch {
	case !ok:
		refuse(ssh.Prohibited, "this server forwards no connections", nil)
		return
	case !c.settings.forwarding.permitsDial(p.to):
		refuse(ssh.Prohibited, "forwarding to this destination is not allowed", nil)
		return
	case !c.forwards.add():
		c.tally.refused(limitForwards)
		refuse(ssh.ResourceShortage, "too many forwarded connections", nil)
		return
	}
	defer c.forwards.remove()

	var conn Conn
	err := errors.New("the handler failed")
	c.call(log, "OnDial", func() { conn, err = handler.OnDial(c.ctx, id, p.to, p.from) })
	if err != nil {
		reason, words := ssh.ConnectionFailed, "the connection could not be made"
		var rejection *ChannelRejection
		if errors.As(err, &rejection) {
			reason, words = ssh.RejectionReason(rejection.Reason), rejection.Message
		}
		refuse(reason, words, err)
		return
	}
	channel, requests, err := ch.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	log.Debug("forwarding a connection", "to", p.to.String())
	c.splice(channel, requests, conn)
}

// listen answers a request to listen where programs run.
func (c *connection) listen(login SSHConnectionHandler, log *slog.Logger, id uint64, req *ssh.Request, at Address) {
	l, err := c.openListener(login, log, id, at)
	if err != nil {
		log.Info("forward refused", "at", at.String(), "error", err)
		_ = req.Reply(false, nil)
		return
	}
	// What the client has asked for is what it knows the listener by.
	bound := at
	bound.Port = l.Address().Port
	c.mu.Lock()
	_, twice := c.listeners[bound]
	if !twice {
		c.listeners[bound] = l
	}
	c.mu.Unlock()
	if twice {
		// Only a container that lies about ports gets here.
		log.Warn("forward refused: there is a listener already where this one says it is", "at", bound.String())
		_ = l.Close()
		_ = req.Reply(false, nil)
		return
	}
	var answer []byte
	if at.Network == "tcp" && at.Port == 0 {
		answer = ssh.Marshal(struct{ Port uint32 }{bound.Port})
	}
	_ = req.Reply(true, answer)
	log.Debug("listening for the client", "at", bound.String())
	c.tasks.Go(func() {
		c.relay(log, l, func(from Address) (string, []byte) { return forwardedChannel(bound, from) }, false)
		c.closeListener(bound)
	})
}

func (c *connection) openListener(login SSHConnectionHandler, log *slog.Logger, id uint64, at Address) (Listener, error) {
	handler, ok := login.(ForwardHandler)
	if !ok {
		return nil, errors.New("the handler forwards no connections")
	}
	if !c.settings.forwarding.permitsListen(at) {
		return nil, errors.New("the configuration does not allow it")
	}
	c.mu.Lock()
	full := len(c.listeners) >= maxListeners
	_, twice := c.listeners[at]
	c.mu.Unlock()
	switch {
	case full:
		c.tally.refused(limitListeners)
		return nil, fmt.Errorf("the client has %d listeners already", maxListeners)
	case twice:
		return nil, errors.New("the client listens there already")
	}
	if at.Network == "tcp" && !c.settings.forwarding.GatewayPorts {
		at.Host = "localhost"
	}
	var l Listener
	err := errors.New("the handler failed")
	c.call(log, "OnListen", func() { l, err = handler.OnListen(c.ctx, id, at) })
	return l, err
}

// closeListener ends a listener, and says whether there was one.
func (c *connection) closeListener(at Address) bool {
	c.mu.Lock()
	l, ok := c.listeners[at]
	delete(c.listeners, at)
	c.mu.Unlock()
	if ok {
		_ = l.Close()
	}
	return ok
}

// relay offers to the client what l accepts, each on a channel as described,
// until l ends or the client leaves; or once only, if single. It closes l, and
// returns when all of its connections have ended.
func (c *connection) relay(log *slog.Logger, l Listener, describe func(from Address) (kind string, payload []byte), single bool) {
	var all sync.WaitGroup
	defer all.Wait()
	defer func() { _ = l.Close() }()
	for {
		conn, from, err := l.Accept(c.ctx)
		if err != nil {
			return
		}
		if !c.forwards.add() {
			c.tally.refused(limitForwards)
			log.Info("forward refused: too many forwarded connections", "from", from.String())
			_ = conn.Close()
			continue
		}
		all.Go(func() {
			defer c.forwards.remove()
			channel, requests, err := c.open(describe(from))
			if err != nil {
				log.Debug("the client takes no forwarded connection", "from", from.String(), "error", err)
				_ = conn.Close()
				return
			}
			c.splice(channel, requests, conn)
		})
		if single {
			return
		}
	}
}

// open opens a channel to the client, and waits for its answer no longer than until
// the connection ends. The library may wait for ever: it does not close a channel that
// is opened just as the connection breaks off, and the first write that fails does not
// tell (golang.org/x/crypto v0.58). A goroutine that does so is there for good: none
// begins to once the connection is known to have failed.
func (c *connection) open(kind string, payload []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	if c.net.failed.Load() {
		return nil, nil, net.ErrClosed
	}
	type answer struct {
		channel  ssh.Channel
		requests <-chan *ssh.Request
		err      error
	}
	answered := make(chan answer, 1)
	go func() {
		channel, requests, err := c.conn.OpenChannel(kind, payload)
		answered <- answer{channel, requests, err}
	}()
	select {
	case a := <-answered:
		return a.channel, a.requests, a.err
	case <-c.ctx.Done():
		return nil, nil, context.Cause(c.ctx)
	}
}

// splice copies both ways between a channel and a connection, half-closes each
// where the other has ended, and closes both when that has come to its end.
func (c *connection) splice(channel ssh.Channel, requests <-chan *ssh.Request, conn Conn) {
	// A channel that the client does not close stays, and counts.
	gone := make(chan struct{})
	defer func() { <-gone }()
	inflow := c.net.backlog.open(channel)
	stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	defer func() { _ = channel.Close() }()

	go func() {
		ssh.DiscardRequests(requests)
		inflow.close()
		close(gone)
	}()
	in := make(chan struct{})
	go func() {
		_, err := relay.Copy(conn, inflow)
		switch {
		case c.net.failed.Load():
			// Not an end, but a break: the other side must not take half of
			// what the client meant to send for the whole.
			_ = conn.Close()
		case err == nil:
			_ = conn.CloseWrite()
		}
		close(in)
		if err != nil {
			// Nobody takes it any more; the client is not to wait for that.
			_, _ = io.Copy(io.Discard, inflow)
		}
	}()
	out := make(chan error, 1)
	go func() {
		_, err := relay.Copy(channel, conn)
		if err == nil {
			err = channel.CloseWrite()
		}
		out <- err
	}()

	var err error
	copied := false
	select {
	case err = <-out:
		copied = true
		if err == nil {
			select {
			case <-in:
				return
			case <-gone:
			}
		}
	case <-gone:
	}
	// The library's word for a closed channel is io.EOF.
	if err != nil && !errors.Is(err, io.EOF) {
		return // the far side has broken off
	}
	// What the client has sent before it left is still to be delivered.
	linger := time.AfterFunc(lingerTimeout, func() { _ = conn.Close() })
	defer linger.Stop()
	<-in
	if !copied {
		<-out
	}
	_, _ = io.Copy(io.Discard, conn)
}

// forwardedChannel describes a channel for a connection that a listener has
// accepted.
func forwardedChannel(at, from Address) (kind string, payload []byte) {
	if at.Network == "unix" {
		return channelForwardedUnix, ssh.Marshal(struct{ Path, Reserved string }{at.Path, ""})
	}
	return channelForwardedTCP, ssh.Marshal(struct {
		Host       string
		Port       uint32
		Originator string
		OriginPort uint32
	}{at.Host, at.Port, from.Host, from.Port})
}

// x11Channel describes a channel for a connection to a display.
func x11Channel(from Address) (kind string, payload []byte) {
	return channelX11, ssh.Marshal(struct {
		Originator string
		OriginPort uint32
	}{from.Host, from.Port})
}

func agentChannel(Address) (kind string, payload []byte) { return channelAgent, nil }

// counter counts up to a limit; negative means none.
type counter struct {
	limit int

	mu sync.Mutex // for memory only
	n  int
}

func (c *counter) add() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit >= 0 && c.n >= c.limit {
		return false
	}
	c.n++
	return true
}

func (c *counter) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
}
