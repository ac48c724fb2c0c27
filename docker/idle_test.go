package docker_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/sshserver"
)

// promptAgent is a guest agent whose programs show a prompt, and end with their input.
type promptAgent struct{ echoAgent }

func (promptAgent) Session(_ context.Context, _ agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	if r.Started(1) != nil {
		return agentproto.Exit{}, false
	}
	go func() {
		for range r.Resizes {
		}
	}()
	go func() {
		for range r.Signals {
		}
	}()
	_, _ = io.WriteString(r.Stdout, "$")
	_, _ = io.Copy(io.Discard, r.Stdin)
	return agentproto.Exit{}, true
}

// everybody lets everybody in.
type everybody struct{ b *docker.Backend }

func (e everybody) OnNetworkConnection(client net.TCPAddr, id string) (sshserver.NetworkConnectionHandler, error) {
	next, err := e.b.Handler(client, id)
	return welcome{next}, err
}

type welcome struct {
	sshserver.NetworkConnectionHandler
}

func (welcome) OnAuthNone(string) (sshserver.AuthResponse, error) {
	return sshserver.AuthResponseSuccess, nil
}

// serverGoroutines counts the goroutines that come of one with this label.
func serverGoroutines(t *testing.T, label string) (n int, profile string) {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	var own []string
	for _, block := range strings.Split(b.String(), "\n\n") {
		if !strings.Contains(block, "# labels: ") || !strings.Contains(block, label) {
			continue
		}
		var count int
		if _, err := fmt.Sscanf(block, "%d @", &count); err != nil {
			t.Fatalf("%v in %q", err, block)
		}
		n += count
		own = append(own, block)
	}
	return n, strings.Join(own, "\n\n")
}

// Memory is what bounds the number of users, and most of it is goroutines' stacks. A
// connection with a shell that nobody types in has these:
//
//	golang.org/x/crypto/ssh   reading packets, key exchanges, channels
//	go-yamux                  reading, writing, round trips
//	sshserver                 a connection's channels and requests, a session's requests
//	backend                   input, output
func TestIdleGoroutines(t *testing.T) {
	const each = 10
	e := socketAgent(t, promptAgent{})
	b, _ := withSockets(t, onFake(e))
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server := &sshserver.Server{Handler: everybody{b}, HostKeys: []ssh.Signer{host}, AuthMethods: []string{"none"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) { served <- server.Serve(l) })
	defer func() {
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	}()

	open := func() *ssh.Client {
		client, err := ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{User: "tester", HostKeyCallback: ssh.FixedHostKey(host.PublicKey())})
		if err != nil {
			t.Fatal(err)
		}
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		stdin, stdinWriter := io.Pipe()
		t.Cleanup(func() { _ = stdinWriter.Close() })
		session.Stdin = stdin
		stdout, err := session.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
		if err := session.Shell(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return client
	}
	// There are fewer goroutines for all connections than there are connections.
	const connections = 20
	for range connections {
		defer open().Close()
	}
	deadline := time.Now().Add(time.Minute)
	for {
		n, profile := serverGoroutines(t, t.Name())
		if n/connections <= each {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for %d connections; there should be %d for each:\n%s", n, connections, each, profile)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
