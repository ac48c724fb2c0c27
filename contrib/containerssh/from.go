package containerssh

import (
	"context"
	"errors"
	"net"
	"sync"

	original "github.com/containerssh/sshserver"

	"github.com/berth-ssh/berth/sshserver"
)

// FromHandler makes a handler that was written for the original's server one for
// ours. Its OnReady and OnShutdown are the caller's to call. Ours has a proof of
// the client's key before it calls OnHandshakeSuccess.
func FromHandler(h original.Handler) sshserver.Handler { return fromHandler{h} }

type fromHandler struct{ theirs original.Handler }

// OnNetworkConnection takes a connection.
func (h fromHandler) OnNetworkConnection(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error) {
	theirs, err := h.theirs.OnNetworkConnection(client, connectionID)
	if err != nil {
		return nil, err
	}
	return FromNetworkConnection(theirs), nil
}

// FromNetworkConnection makes the handler of one network connection one for our
// server. Answers to the questions of the method keyboard-interactive can't be
// given to it, since nobody outside of the original can make them: that method
// is not available.
func FromNetworkConnection(theirs original.NetworkConnectionHandler) sshserver.NetworkConnectionHandler {
	return &fromConnection{theirs: theirs, open: map[shutdowner]struct{}{}}
}

// shutdowner is what wants to be told of the server's end.
type shutdowner interface{ OnShutdown(ctx context.Context) }

type fromConnection struct {
	theirs original.NetworkConnectionHandler

	mu   sync.Mutex // for memory only
	open map[shutdowner]struct{}
}

var (
	_ sshserver.NetworkConnectionHandler = (*fromConnection)(nil)
	_ sshserver.SSHConnectionHandler     = (*fromLogin)(nil)
	_ sshserver.SessionChannelHandler    = (*fromSession)(nil)
)

var errNoMethod = errors.New("the handler has no such method of authentication")

// OnAuthNone is not one of the original's methods.
func (c *fromConnection) OnAuthNone(string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoMethod
}

// OnAuthPassword passes on to theirs.
func (c *fromConnection) OnAuthPassword(username string, password []byte) (sshserver.AuthResponse, error) {
	return fromVerdict(c.theirs.OnAuthPassword(username, password))
}

// OnAuthPubKey passes on to theirs.
func (c *fromConnection) OnAuthPubKey(username, pubKey string) (sshserver.AuthResponse, error) {
	return fromVerdict(c.theirs.OnAuthPubKey(username, pubKey))
}

// OnAuthKeyboardInteractive is not available.
func (c *fromConnection) OnAuthKeyboardInteractive(string, sshserver.Challenge) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, errNoMethod
}

func fromVerdict(r original.AuthResponse, err error) (sshserver.AuthResponse, error) {
	switch r {
	case original.AuthResponseSuccess:
		return sshserver.AuthResponseSuccess, err
	case original.AuthResponseUnavailable:
		return sshserver.AuthResponseUnavailable, err
	}
	return sshserver.AuthResponseFailure, err
}

// OnHandshakeFailed passes on to theirs.
func (c *fromConnection) OnHandshakeFailed(reason error) { c.theirs.OnHandshakeFailed(reason) }

// OnHandshakeSuccess passes on to theirs.
func (c *fromConnection) OnHandshakeSuccess(username string) (sshserver.SSHConnectionHandler, error) {
	theirs, err := c.theirs.OnHandshakeSuccess(username)
	if err != nil {
		return nil, err
	}
	c.opened(theirs)
	return &fromLogin{c: c, theirs: theirs}, nil
}

// OnDisconnect passes on to theirs.
func (c *fromConnection) OnDisconnect() { c.theirs.OnDisconnect() }

// OnShutdown tells the connection, its login and its sessions, each of which the
// original's server tells by itself.
func (c *fromConnection) OnShutdown(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { c.theirs.OnShutdown(ctx) })
	c.mu.Lock()
	for s := range c.open {
		all.Go(func() { s.OnShutdown(ctx) })
	}
	c.mu.Unlock()
	all.Wait()
}

func (c *fromConnection) opened(s shutdowner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[s] = struct{}{}
}

func (c *fromConnection) closed(s shutdowner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, s)
}

type fromLogin struct {
	c      *fromConnection
	theirs original.SSHConnectionHandler
}

// OnUnsupportedGlobalRequest passes on to theirs.
func (l *fromLogin) OnUnsupportedGlobalRequest(requestID uint64, requestType string, payload []byte) {
	l.theirs.OnUnsupportedGlobalRequest(requestID, requestType, payload)
}

// OnUnsupportedChannel passes on to theirs.
func (l *fromLogin) OnUnsupportedChannel(channelID uint64, channelType string, extraData []byte) {
	l.theirs.OnUnsupportedChannel(channelID, channelType, extraData)
}

// OnSessionChannel opens a session, or says why not.
func (l *fromLogin) OnSessionChannel(channelID uint64, extraData []byte) (sshserver.SessionChannelHandler, error) {
	s := &fromSession{c: l.c}
	theirs, rejection := l.theirs.OnSessionChannel(channelID, extraData, &s.channel)
	if rejection != nil {
		return nil, &sshserver.ChannelRejection{
			Reason: sshserver.RejectionReason(rejection.Reason()), Message: rejection.UserMessage(), Err: rejection,
		}
	}
	s.theirs = theirs
	l.c.opened(theirs)
	return s, nil
}
