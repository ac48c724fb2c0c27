package auth

import (
	"context"
	"net"

	"golang.org/x/crypto/ssh"
)

// Authenticator decides who may log in. Its methods may be called at the same
// time.
type Authenticator interface {
	// Authenticate says whether the credential of an attempt proves that the
	// client is the user. An error means that this can't be told now, for
	// example since whoever knows can't be reached; the attempt is then
	// refused, and the error goes to the log only.
	//
	// For a PublicKey it is called when a client asks whether a key would do,
	// before the client has proved that it has the key (RFC 4252 section 7).
	// So the call must be free of effects: an accepted attempt is no login.
	//
	// ctx ends with the connection at the latest.
	Authenticate(ctx context.Context, attempt Attempt) (Decision, error)

	// Methods names the SSH authentication methods that can succeed, as in
	// sshserver.Server.AuthMethods.
	Methods() []string
}

// Attempt is one attempt to log in.
type Attempt struct {
	// Username is what the client claims to be. It is the client's text: any
	// bytes.
	Username string
	// Credential is what is to prove it.
	Credential Credential
	// Client and ConnectionID are the network connection it came by.
	Client       net.TCPAddr
	ConnectionID string
}

// Credential is what a client shows to prove who it is; a PublicKey for now.
type Credential interface{ credential() }

// PublicKey is a key that the client has, or says it has.
type PublicKey struct{ Key ssh.PublicKey }

func (PublicKey) credential() {}

// Decision answers an Attempt.
type Decision struct {
	Accepted bool
	// Detail says to the log why, without secrets: the line that lists the key,
	// or what was wrong.
	Detail string
}
