package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/sshserver"
)

// Backend makes the handler of a network connection that serves its user once
// that has logged in. docker.New has this form, with its other parameters
// bound. Its own answers to attempts to log in are not asked for.
type Backend func(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error)

// NewHandler makes the handler of a server: a decides who may log in, next
// serves. ctx is the parent of the contexts of all attempts. A nil log
// discards.
func NewHandler(ctx context.Context, a Authenticator, next Backend, log *slog.Logger) sshserver.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &handler{ctx: ctx, authenticator: a, next: next, log: log}
}

type handler struct {
	ctx           context.Context // only the parent of what connections get
	authenticator Authenticator
	next          Backend
	log           *slog.Logger
}

func (h *handler) OnNetworkConnection(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error) {
	next, err := h.next(client, connectionID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(h.ctx)
	return &connection{
		NetworkConnectionHandler: next,

		ctx: ctx, cancel: cancel,
		authenticator: h.authenticator,
		log:           h.log.With("connection", connectionID, "remote", client.String()),
		client:        client, id: connectionID,
	}, nil
}

// connection answers attempts to log in, and leaves all else to the backend.
type connection struct {
	sshserver.NetworkConnectionHandler

	ctx           context.Context
	cancel        context.CancelFunc
	authenticator Authenticator
	log           *slog.Logger
	client        net.TCPAddr
	id            string
}

func (c *connection) OnAuthPubKey(username, pubKey string) (sshserver.AuthResponse, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(pubKey))
	if err != nil {
		return sshserver.AuthResponseFailure, fmt.Errorf("the key can't be parsed: %w", err)
	}
	decision, err := c.authenticator.Authenticate(c.ctx, Attempt{
		Username:     username,
		Credential:   PublicKey{Key: key},
		Client:       c.client,
		ConnectionID: c.id,
	})
	if err != nil {
		c.log.Error("can't tell whether a key may log in", "user", username, "error", err)
		return sshserver.AuthResponseUnavailable, err
	}
	// At the level of debugging: the client has not proved yet that it has the
	// key (see Authenticator). The server logs logins.
	c.log.Debug("asked about a key", "user", username, "accepted", decision.Accepted,
		"fingerprint", ssh.FingerprintSHA256(key), "detail", decision.Detail)
	if !decision.Accepted {
		return sshserver.AuthResponseFailure, nil
	}
	return sshserver.AuthResponseSuccess, nil
}

func (c *connection) OnAuthNone(string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, nil
}

func (c *connection) OnAuthPassword(string, []byte) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, nil
}

func (c *connection) OnAuthKeyboardInteractive(string, sshserver.Challenge) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseUnavailable, nil
}

func (c *connection) OnDisconnect() {
	c.cancel()
	c.NetworkConnectionHandler.OnDisconnect()
}
