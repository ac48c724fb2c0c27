//go:build unix

package sshserver_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
	"golang.org/x/crypto/ssh"
)

// Hazard 21: a question whether a key would do is no login.
func TestPublicKeyQuestionIsNoLogin(t *testing.T) {
	h := newHouse(t, nil)
	other := newKey(t)
	config := h.clientConfig()
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(forger{h.signer, other})}
	if _, err := ssh.Dial("tcp", h.addr, config); err == nil {
		t.Fatal("logged in with somebody else's signature")
	}
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
	equal(t, "questions", h.toy.count("pubkey alice"), 1)
	equal(t, "failures", h.toy.count("handshake failed"), 1)
	equal(t, "logins", h.toy.count("login alice"), 0)
	for _, word := range []string{"logged in", "accepted"} {
		if strings.Contains(h.logs.String(), word) {
			t.Errorf("the log says %q", word)
		}
	}
	// A real login asks the handler once, for question and proof together.
	h.dial()
	equal(t, "questions", h.toy.count("pubkey alice"), 2)
	waitFor(t, "the login", func() bool { return h.toy.count("login alice") == 1 })
}

// forger offers one key and signs with another.
type forger struct {
	ssh.Signer
	other ssh.Signer
}

func (f forger) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return f.other.Sign(rand, data)
}

func TestAuthTries(t *testing.T) {
	var tries int
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.AuthMethods = []string{"password"}
		s.MaxAuthTries = 3
		toy.hooks.password = func(string, []byte) (sshserver.AuthResponse, error) {
			tries++
			return sshserver.AuthResponseUnavailable, errors.New("the directory is down")
		}
	})
	config := h.clientConfig()
	config.Auth = []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.Password("x"), 100)}
	if _, err := ssh.Dial("tcp", h.addr, config); err == nil || strings.Contains(err.Error(), "directory") {
		t.Errorf("got %v", err)
	}
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
	equal(t, "tries", tries, 3)
	if logs := h.logs.String(); !strings.Contains(logs, "authentication unavailable") || !strings.Contains(logs, "the directory is down") {
		t.Errorf("log:\n%s", logs)
	}
}

func TestAuthNone(t *testing.T) {
	asked := func(_ string) (sshserver.AuthResponse, error) { return sshserver.AuthResponseSuccess, nil }
	for _, on := range []bool{true, false} {
		h := newHouse(t, func(s *sshserver.Server, toy *toy) {
			toy.hooks.none = asked
			if on {
				s.AuthMethods = []string{"none", "publickey"}
			}
		})
		config := h.clientConfig()
		config.Auth = nil
		client, err := ssh.Dial("tcp", h.addr, config)
		if (err == nil) != on {
			t.Errorf("none offered: %v, got %v", on, err)
		}
		if err == nil {
			_ = client.Close()
		}
	}
}

// An error beside a success is no success.
func TestAuthErrorWins(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.pubKey = func(string, string) (sshserver.AuthResponse, error) {
			return sshserver.AuthResponseSuccess, errors.New("unsure")
		}
	})
	if _, err := ssh.Dial("tcp", h.addr, h.clientConfig()); err == nil {
		t.Error("logged in")
	}
}
