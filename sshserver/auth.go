package sshserver

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The methods of authentication, by their names in Server.AuthMethods.
const (
	authNone                = "none"
	authPassword            = "password"
	authPublicKey           = "publickey"
	authKeyboardInteractive = "keyboard-interactive"
)

var (
	errAuthRefused     = errors.New("refused")
	errAuthUnavailable = errors.New("unavailable")
)

// authMethods checks the names of methods; nil means public keys.
func authMethods(names []string) ([]string, error) {
	if names == nil {
		return []string{authPublicKey}, nil
	}
	if len(names) == 0 {
		return nil, errors.New("the list of authentication methods is empty; nobody could log in")
	}
	known := []string{authNone, authPassword, authPublicKey, authKeyboardInteractive}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("unknown authentication method %q; did you mean %q?", name, nearest(name, known))
		}
	}
	return slices.Clone(names), nil
}

// offer sets the callbacks of the methods that clients may use: the library
// tells clients about those only.
func (c *connection) offer(config *ssh.ServerConfig, handler NetworkConnectionHandler, tries *attempts) {
	for _, method := range c.settings.authMethods {
		switch method {
		case authNone:
			config.NoClientAuth = true
			config.NoClientAuthCallback = func(meta ssh.ConnMetadata) (*ssh.Permissions, error) {
				return nil, verdict(handler.OnAuthNone(meta.User()))
			}
		case authPassword:
			config.PasswordCallback = func(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
				return nil, verdict(handler.OnAuthPassword(meta.User(), password))
			}
		case authPublicKey:
			// Called on the client's question whether the key would do, before
			// any proof; the library remembers the answer for the proof itself.
			// Nothing may be counted or logged as a login here.
			config.PublicKeyCallback = func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
				return nil, verdict(handler.OnAuthPubKey(meta.User(), keyLine(key)))
			}
		case authKeyboardInteractive:
			config.KeyboardInteractiveCallback = func(meta ssh.ConnMetadata, client ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				return nil, verdict(handler.OnAuthKeyboardInteractive(meta.User(), challenge(client)))
			}
		}
	}
	config.AuthLogCallback = func(meta ssh.ConnMetadata, method string, err error) {
		tries.count(err)
		switch {
		case err == nil:
			c.stranger.Debug("authentication accepted", "method", method, "user", meta.User())
		case errors.Is(err, ssh.ErrNoAuth):
			// How clients ask which methods there are.
		case errors.Is(err, errAuthUnavailable):
			c.stranger.Warn("authentication unavailable", "method", method, "user", meta.User(), "error", err)
		default:
			c.stranger.Info("authentication refused", "method", method, "user", meta.User(), "error", err)
		}
	}
}

// attempts are those of one connection to log in, as far as they are of
// interest for its offence.
type attempts struct{ refused, unavailable int }

func (a *attempts) count(err error) {
	switch {
	case err == nil || errors.Is(err, ssh.ErrNoAuth):
	case errors.Is(err, errAuthUnavailable):
		a.unavailable++
	default:
		a.refused++
	}
}

// offence is that of a connection without a login, which has ended with err.
func (a *attempts) offence(err error) offence {
	switch {
	case a.refused > 0 || errors.Is(err, errAuthPanic):
		return offenceAuthFail
	case errors.Is(err, os.ErrDeadlineExceeded):
		return offenceGrace
	case a.unavailable > 0:
		// Nobody could say whether it was right.
		return noOffence
	}
	return offenceNoAuth
}

// verdict turns a handler's answer into the library's. The text of the error
// goes to the log; clients are told yes or no.
func verdict(response AuthResponse, err error) error {
	var sentinel error
	switch response {
	case AuthResponseSuccess:
		if err == nil {
			return nil
		}
		// Whoever reports an error has not accepted anybody.
		sentinel = errAuthRefused
	case AuthResponseUnavailable:
		sentinel = errAuthUnavailable
	default:
		sentinel = errAuthRefused
	}
	if err == nil {
		return sentinel
	}
	return &refusedError{sentinel, err}
}

// refusedError is why an attempt was refused. It hides its cause from
// errors.As: the library gives a meaning to some types of errors.
type refusedError struct{ sentinel, cause error }

func (e *refusedError) Error() string { return e.sentinel.Error() + ": " + e.cause.Error() }
func (e *refusedError) Unwrap() error { return e.sentinel }

// keyLine is a key as a line of an authorized_keys file.
func keyLine(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

// challenge asks questions by way of the library.
func challenge(client ssh.KeyboardInteractiveChallenge) Challenge {
	return func(instruction string, questions []Question) ([]string, error) {
		prompts := make([]string, len(questions))
		echo := make([]bool, len(questions))
		for i, q := range questions {
			prompts[i], echo[i] = q.Prompt, q.Echo
		}
		return client("", instruction, prompts, echo)
	}
}
