package auth

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
)

// recorder notes what reaches the backend.
type recorder struct {
	sshserver.NetworkConnectionHandler
	calls []string
}

func (r *recorder) OnAuthPubKey(string, string) (sshserver.AuthResponse, error) {
	r.calls = append(r.calls, "auth")
	return sshserver.AuthResponseSuccess, nil
}

func (r *recorder) OnHandshakeSuccess(string) (sshserver.SSHConnectionHandler, error) {
	r.calls = append(r.calls, "success")
	return nil, nil
}

func (r *recorder) OnDisconnect() { r.calls = append(r.calls, "disconnect") }

// Hazard 21: a query about a key has no effect on the backend, however it is
// answered; only the end of the handshake has.
func TestQueriesDoNotReachTheBackend(t *testing.T) {
	_, listed := newKey(t)
	_, stranger := newKey(t)
	backend := &recorder{}
	h := NewHandler(t.Context(), NewAuthorizedKeys(nil, []string{listed}, nil),
		func(net.TCPAddr, string) (sshserver.NetworkConnectionHandler, error) { return backend, nil }, nil)
	c, err := h.OnNetworkConnection(net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, "id")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]sshserver.AuthResponse{
		listed: sshserver.AuthResponseSuccess, stranger: sshserver.AuthResponseFailure, "rubbish": sshserver.AuthResponseFailure,
	} {
		if got, _ := c.OnAuthPubKey("user", key); got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	if got, _ := c.OnAuthPassword("user", []byte("x")); got == sshserver.AuthResponseSuccess {
		t.Error("a password is accepted")
	}
	if got, _ := c.OnAuthNone("user"); got == sshserver.AuthResponseSuccess {
		t.Error("nothing at all is accepted")
	}
	if len(backend.calls) > 0 {
		t.Fatalf("the backend heard of %v before the handshake's end", backend.calls)
	}
	if _, err := c.OnHandshakeSuccess("user"); err != nil {
		t.Fatal(err)
	}
	c.OnDisconnect()
	if len(backend.calls) != 2 {
		t.Errorf("the backend heard of %v", backend.calls)
	}
}

// asker is an Authenticator whose answer is a function.
type asker func(context.Context) (Decision, error)

func (a asker) Authenticate(ctx context.Context, _ Attempt) (Decision, error) { return a(ctx) }
func (asker) Methods() []string                                               { return nil }

func TestAnAuthenticatorThatCannotTellLetsNobodyIn(t *testing.T) {
	_, key := newKey(t)
	var seen context.Context
	down := errors.New("the directory is down")
	h := NewHandler(t.Context(), asker(func(ctx context.Context) (Decision, error) {
		seen = ctx
		return Decision{Accepted: true}, down
	}), func(net.TCPAddr, string) (sshserver.NetworkConnectionHandler, error) { return &recorder{}, nil }, nil)
	c, err := h.OnNetworkConnection(net.TCPAddr{}, "id")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.OnAuthPubKey("user", key)
	if got != sshserver.AuthResponseUnavailable || !errors.Is(err, down) {
		t.Errorf("got %v, %v", got, err)
	}
	if seen.Err() != nil {
		t.Error("the context ended with the attempt")
	}
	c.OnDisconnect()
	if seen.Err() == nil {
		t.Error("the context outlives the connection")
	}
}

func TestABackendThatFailsClosesTheConnection(t *testing.T) {
	broken := errors.New("broken")
	h := NewHandler(t.Context(), NewAuthorizedKeys(nil, nil, nil),
		func(net.TCPAddr, string) (sshserver.NetworkConnectionHandler, error) { return nil, broken }, nil)
	if _, err := h.OnNetworkConnection(net.TCPAddr{}, "id"); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
