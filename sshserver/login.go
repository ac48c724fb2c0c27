package sshserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// refusalTimeout is how long a client has to read why it is being sent away.
const refusalTimeout = 10 * time.Second

// admit lets the client log in, and returns what serves it until it leaves; nil if
// it can't stay.
func (c *connection) admit(handler NetworkConnectionHandler) (attend func()) {
	var tries attempts
	conn, channels, requests, err := c.handshake(handler, &tries)
	if err != nil {
		// A connection that the server has ended is no offence of the client's.
		if c.ctx.Err() == nil || errors.Is(err, errAuthPanic) {
			c.offence = tries.offence(err)
		}
		c.stranger.Info("no login", "error", err)
		c.call(c.stranger, "OnHandshakeFailed", func() { handler.OnHandshakeFailed(err) })
		return nil
	}
	log := c.log.With("user", conn.User())
	if err := c.place.login(conn.User()); err != nil {
		log.Warn("connection refused after the login", "error", err, "limit", limitNames[limitUserConnections])
		c.call(c.log, "OnHandshakeFailed", func() { handler.OnHandshakeFailed(err) })
		c.refuse(err, channels, requests)
		return nil
	}
	log.Info("logged in", "client", string(conn.ClientVersion()))

	stop := func() {}
	if c.settings.keepAliveInterval > 0 {
		stop = startKeepAlive(c, conn, log).stop
	}

	var login SSHConnectionHandler
	var refusal error
	ok := c.call(log, "OnHandshakeSuccess", func() {
		login, refusal = handler.OnHandshakeSuccess(conn.User())
	})
	if !ok || refusal != nil {
		if ok {
			log.Warn("connection refused after the login", "error", refusal)
		}
		c.refuse(refusal, channels, requests)
		stop()
		return nil
	}

	c.conn = conn
	c.mu.Lock()
	c.login = login
	c.mu.Unlock()
	if h, ok := login.(LocalAddressHandler); ok {
		c.call(log, "OnLocalAddress", func() { h.OnLocalAddress(tcpAddr(c.net.LocalAddr())) })
	}
	return func() {
		c.attend(login, log, channels, requests)
		c.cancel()
		log.Info("disconnected", "reason", conn.Wait())
		stop()
	}
}

// errAuthPanic is about a panic in a handler that was asked for a login.
var errAuthPanic = errors.New("the authentication failed inside the server")

// handshake runs the key exchange and the login, within a deadline.
func (c *connection) handshake(handler NetworkConnectionHandler, tries *attempts) (
	conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request, err error,
) {
	begin, timeout := time.Now(), c.settings.handshakeTimeout
	if timeout > 0 {
		if err := c.net.SetDeadline(begin.Add(timeout)); err != nil {
			return nil, nil, nil, err
		}
	}
	config := c.settings.protocol
	c.offer(&config, handler, tries)
	for _, key := range c.settings.hostKeys {
		config.AddHostKey(c.paced(key))
	}
	var protocol net.Conn = c.net
	if c.settings.cipherChoice.choosesCipher(c.net.Conn) {
		early, ciphers, err := seeProposal(c.net, config.ServerVersion)
		if err != nil {
			return nil, nil, nil, err
		}
		protocol, config.Ciphers = early, fasterFor(ciphers, config.Ciphers)
		var deadline time.Time
		if timeout > 0 {
			deadline = begin.Add(timeout)
		}
		if err := c.net.SetReadDeadline(deadline); err != nil {
			return nil, nil, nil, err
		}
	}
	ok := c.call(c.stranger, "authentication", func() {
		conn, channels, requests, err = ssh.NewServerConn(protocol, &config)
	})
	switch {
	case !ok:
		return nil, nil, nil, errAuthPanic
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil, nil, fmt.Errorf("no login within %v: %w", timeout, err)
	case err != nil:
		return nil, nil, nil, err
	}
	c.net.trust()
	if timeout > 0 {
		// A failure means that the connection is gone, which the next read
		// finds out.
		_ = c.net.SetDeadline(time.Time{})
	}
	return conn, channels, requests, nil
}

// refuse sends away a client that has logged in. A message for the user is the
// answer to the first session; without one, the connection just ends.
func (c *connection) refuse(reason error, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.tasks.Go(func() { ssh.DiscardRequests(requests) })
	var message UserMessage
	if errors.As(reason, &message) {
		timer := time.AfterFunc(refusalTimeout, c.cut)
		defer timer.Stop()
	} else {
		c.cut()
	}
	for ch := range channels {
		if message == nil {
			_ = ch.Reject(ssh.ConnectionFailed, "")
			continue
		}
		// OpenSSH shows the words to the user and leaves.
		_ = ch.Reject(ssh.ConnectionFailed, message.UserMessage())
	}
}
