package containerssh

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	original "github.com/containerssh/sshserver"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/sshserver"
)

// Handler makes a handler of ours one for the original's server.
func Handler(h sshserver.Handler) original.Handler { return &handler{ours: h} }

type handler struct {
	// The start and the end of the server need nothing.
	original.AbstractHandler
	ours sshserver.Handler
}

// OnNetworkConnection takes a connection.
func (h *handler) OnNetworkConnection(client net.TCPAddr, connectionID string) (original.NetworkConnectionHandler, error) {
	ours, err := h.ours.OnNetworkConnection(client, connectionID)
	if err != nil {
		return nil, Message(err)
	}
	return NetworkConnection(ours), nil
}

// NetworkConnection makes the handler of one network connection one for the
// original's server. Of a public key that a client asks about, but for which it
// has not proved that it has the private one, that server makes a login at
// once. ours is told of a login only when there is a proof: with the first
// channel or request.
func NetworkConnection(ours sshserver.NetworkConnectionHandler) original.NetworkConnectionHandler {
	return &connection{ours: ours}
}

type connection struct {
	ours sshserver.NetworkConnectionHandler

	mu       sync.Mutex // for memory only
	username string     // who has logged in, if anybody has

	loggedIn sync.Once // guards the two that follow
	login    sshserver.SSHConnectionHandler
	err      error

	left  sync.Once
	exits sync.WaitGroup // what is still to be reported to clients
}

var (
	_ original.NetworkConnectionHandler = (*connection)(nil)
	_ original.SSHConnectionHandler     = (*login)(nil)
	_ original.SessionChannelHandler    = (*session)(nil)
)

// OnAuthPassword passes on to ours.
func (c *connection) OnAuthPassword(username string, password []byte) (original.AuthResponse, error) {
	return verdict(c.ours.OnAuthPassword(username, password))
}

// OnAuthPubKey passes on to ours.
func (c *connection) OnAuthPubKey(username, pubKey string) (original.AuthResponse, error) {
	return verdict(c.ours.OnAuthPubKey(username, pubKey))
}

// OnAuthKeyboardInteractive passes on to ours. The original finds answers by
// the names of their questions, ours by their place.
func (c *connection) OnAuthKeyboardInteractive(username string, challenge func(
	instruction string, questions original.KeyboardInteractiveQuestions,
) (original.KeyboardInteractiveAnswers, error)) (original.AuthResponse, error) {
	return verdict(c.ours.OnAuthKeyboardInteractive(username, func(instruction string, questions []sshserver.Question) ([]string, error) {
		var asked original.KeyboardInteractiveQuestions
		for i, q := range questions {
			asked.Add(original.KeyboardInteractiveQuestion{ID: strconv.Itoa(i), Question: q.Prompt, EchoResponse: q.Echo})
		}
		given, err := challenge(instruction, asked)
		if err != nil {
			return nil, err
		}
		answers := make([]string, len(asked))
		for i, q := range asked {
			if answers[i], err = given.Get(q); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}))
}

// verdict translates the answer to an attempt to log in. The original's server
// wants a reason with every method that is not available.
func verdict(r sshserver.AuthResponse, err error) (original.AuthResponse, error) {
	switch r {
	case sshserver.AuthResponseSuccess:
		return original.AuthResponseSuccess, nil
	case sshserver.AuthResponseUnavailable:
		if err == nil {
			err = errors.New("not available")
		}
		return original.AuthResponseUnavailable, Message(err)
	}
	return original.AuthResponseFailure, Message(err)
}

// OnHandshakeFailed passes on to ours.
func (c *connection) OnHandshakeFailed(reason error) { c.ours.OnHandshakeFailed(reason) }

// OnHandshakeSuccess notes who may have logged in. The last of several is the
// one that has.
func (c *connection) OnHandshakeSuccess(username string) (original.SSHConnectionHandler, error) {
	c.mu.Lock()
	c.username = username
	c.mu.Unlock()
	return &login{c: c}, nil
}

// proven tells ours of the login, once.
func (c *connection) proven() (sshserver.SSHConnectionHandler, error) {
	c.loggedIn.Do(func() {
		c.mu.Lock()
		username := c.username
		c.mu.Unlock()
		c.login, c.err = c.ours.OnHandshakeSuccess(username)
	})
	return c.login, c.err
}

// OnDisconnect returns when all that belongs to the connection is gone.
func (c *connection) OnDisconnect() {
	c.left.Do(func() {
		c.ours.OnDisconnect()
		c.exits.Wait()
	})
}

// OnShutdown passes on to ours, which tells all programs of the connection.
func (c *connection) OnShutdown(ctx context.Context) { c.ours.OnShutdown(ctx) }

// login serves one authenticated connection.
type login struct{ c *connection }

// OnUnsupportedGlobalRequest passes on to ours.
func (l *login) OnUnsupportedGlobalRequest(requestID uint64, requestType string, payload []byte) {
	if ours, err := l.c.proven(); err == nil {
		ours.OnUnsupportedGlobalRequest(requestID, requestType, payload)
	}
}

// OnUnsupportedChannel passes on to ours.
func (l *login) OnUnsupportedChannel(channelID uint64, channelType string, extraData []byte) {
	if ours, err := l.c.proven(); err == nil {
		ours.OnUnsupportedChannel(channelID, channelType, extraData)
	}
}

// OnSessionChannel opens a session, or says why not.
func (l *login) OnSessionChannel(channelID uint64, extraData []byte, channel original.SessionChannel) (original.SessionChannelHandler, original.ChannelRejection) {
	ours, err := l.c.proven()
	if err != nil {
		return nil, rejection(err)
	}
	s, err := ours.OnSessionChannel(channelID, extraData)
	if err != nil {
		return nil, rejection(err)
	}
	return &session{ours: s, channel: channel, exits: &l.c.exits}, nil
}

// OnShutdown needs no action: the network connection's does it for all.
func (l *login) OnShutdown(context.Context) {}

// rejection is what the original wants of a channel that is refused.
func rejection(err error) original.ChannelRejection {
	reason, code, user := ssh.ConnectionFailed, original.EBackendRejected, "The session could not be opened."
	var refused *sshserver.ChannelRejection
	if errors.As(err, &refused) {
		reason = ssh.RejectionReason(refused.Reason)
	}
	if m := Message(err); m.Code() != uncoded {
		code = m.Code()
	}
	if words := userMessage(err); words != "" {
		user = words
	}
	return original.NewChannelRejection(reason, code, user, "%s", err.Error())
}
