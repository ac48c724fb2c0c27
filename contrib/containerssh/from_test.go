package containerssh_test

import (
	"net"
	"testing"
	"time"

	original "github.com/containerssh/sshserver"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/contrib/containerssh"
	"github.com/berth-ssh/berth/sshserver"
)

// Handlers of the original, here those of its tests, serve under our server:
// they log in, run a program, and refuse one.
func TestFromHandler(t *testing.T) {
	t.Parallel()
	user := original.NewTestUser("tester")
	user.SetPassword("right")
	key, err := sshserver.LoadOrCreateHostKey(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	server := &sshserver.Server{
		Handler:     containerssh.FromHandler(original.NewTestAuthenticationHandler(original.NewTestHandler(), user)),
		HostKeys:    []ssh.Signer{key},
		AuthMethods: []string{"password", "keyboard-interactive"},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; err != sshserver.ErrServerClosed {
			t.Errorf("the server ended with %v", err)
		}
	})

	if _, err := dial(t, l.Addr().String(), ssh.Password("wrong")); err == nil {
		t.Error("a wrong password was accepted")
	}
	c, err := dial(t, l.Addr().String(), ssh.Password("right"))
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("echo hello"); string(out) != "hello\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if session, err = c.NewSession(); err != nil {
		t.Fatal(err)
	}
	if err := session.Run(`"no end`); err == nil {
		t.Error("a command that the handler refuses has run")
	}
	_ = c.Close()

	// Sessions hear of the server's end: that of the original's test handler
	// closes its channel then.
	if c, err = dial(t, l.Addr().String(), ssh.Password("right")); err != nil {
		t.Fatal(err)
	}
	if session, err = c.NewSession(); err != nil {
		t.Fatal(err)
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	go func() { _ = server.Shutdown(t.Context()) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the session was not told of the shutdown")
	}
}
