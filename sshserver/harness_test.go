//go:build unix

package sshserver_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/sshserver"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for a condition before it fails. Nothing
// waits for that long when all is well.
const patience = 30 * time.Second

// house is a running server with one user key.
type house struct {
	t      testing.TB
	server *sshserver.Server
	toy    *toy
	addr   string
	host   ssh.Signer
	signer ssh.Signer // the user's
	dir    string     // key, known_hosts
	logs   *syncBuffer
}

// newHouse starts a server; set may change it first.
func newHouse(t testing.TB, set func(*sshserver.Server, *toy)) *house {
	t.Helper()
	return newHouseOn(t, nil, set)
}

func newHouseOn(t testing.TB, listener net.Listener, set func(*sshserver.Server, *toy)) *house {
	t.Helper()
	h := &house{t: t, toy: &toy{}, dir: t.TempDir(), logs: &syncBuffer{}}
	h.host = newKey(t)

	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	h.signer, err = ssh.NewSignerFromKey(private)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(t, err)
	must(t, os.WriteFile(h.path("id"), pem.EncodeToMemory(block), 0o600))
	sshPublic, err := ssh.NewPublicKey(public)
	must(t, err)
	h.toy.pubKeys = []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPublic)))}

	h.server = &sshserver.Server{
		Handler:  h.toy,
		HostKeys: []ssh.Signer{h.host},
		Logger:   slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if set != nil {
		set(h.server, h.toy)
	}
	if listener == nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	h.addr = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := h.server.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, sshserver.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if c, d := h.toy.connections.Load(), h.toy.disconnects.Load(); c != d {
			t.Errorf("%d connections, %d disconnects", c, d)
		}
		if o, c := h.toy.opens.Load(), h.toy.closes.Load(); o != c {
			t.Errorf("%d sessions, %d closes", o, c)
		}
		if t.Failed() {
			t.Logf("server log:\n%s", h.logs)
		}
	})
	line := fmt.Sprintf("[127.0.0.1]:%s %s", h.port(), ssh.MarshalAuthorizedKey(h.host.PublicKey()))
	must(t, os.WriteFile(h.path("known_hosts"), []byte(line), 0o600))
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) port() string {
	_, port, err := net.SplitHostPort(h.addr)
	must(h.t, err)
	return port
}

// ssh is a command of the OpenSSH client that sees none of the machine's
// configuration. args come after the options and before nothing: they hold the
// destination "berth".
func (h *house) ssh(args ...string) *exec.Cmd {
	h.t.Helper()
	return h.sshAt(h.port(), args...)
}

func (h *house) sshAt(port string, args ...string) *exec.Cmd {
	h.t.Helper()
	path, err := exec.LookPath("ssh")
	if err != nil {
		h.t.Fatal("these tests need the OpenSSH client: ", err)
	}
	cmd := exec.Command(path, append([]string{
		"-F", "none", "-p", port, "-l", "alice",
		"-o", "HostName=127.0.0.1",
		"-o", "UserKnownHostsFile=" + h.path("known_hosts"),
		"-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "StrictHostKeyChecking=yes",
		"-o", "IdentityFile=" + h.path("id"),
		"-o", "IdentitiesOnly=yes",
		"-o", "IdentityAgent=none",
		"-o", "LogLevel=INFO", // what people have
	}, args...)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=", "DISPLAY=")
	return cmd
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command to its end.
func (h *house) run(cmd *exec.Cmd) result {
	h.t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// dial logs in with the library's client.
func (h *house) dial() *ssh.Client {
	h.t.Helper()
	client, err := ssh.Dial("tcp", h.addr, h.clientConfig())
	must(h.t, err)
	h.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (h *house) clientConfig() *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User:            "alice",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(h.signer)},
		HostKeyCallback: ssh.FixedHostKey(h.host.PublicKey()),
	}
}

// session opens a session with the library's client.
func (h *house) session(client *ssh.Client) *ssh.Session {
	h.t.Helper()
	s, err := client.NewSession()
	must(h.t, err)
	return s
}

// waitFor waits for a condition.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	text, err := sshserver.GenerateHostKey(sshserver.HostKeyED25519)
	must(t, err)
	key, err := sshserver.ParseHostKey(text)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
