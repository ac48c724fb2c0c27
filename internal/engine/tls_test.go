package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/fakeengine"
)

// tlsProxy puts TLS before an engine's socket and passes half-closes on.
func tlsProxy(t *testing.T, socket string, config *tls.Config) (host string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { passOn(near.(*tls.Conn), socket) })
		}
	})
	t.Cleanup(group.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return "tcp://" + listener.Addr().String()
}

func passOn(near *tls.Conn, socket string) {
	defer func() { _ = near.Close() }()
	if near.Handshake() != nil {
		return
	}
	far, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = io.Copy(far, near)
		_ = far.CloseWrite()
	})
	_, _ = io.Copy(near, far)
	_ = near.CloseWrite()
	group.Wait()
}

// Hazard 6: CloseWrite works over TLS, to the real engine.
func TestTLS(t *testing.T) {
	socket := dockerSocket(t)
	plain := open(t, Settings{Host: "unix://" + socket})
	image := importImage(t, plain)
	authority, stranger := fakeengine.NewAuthority(t), fakeengine.NewAuthority(t)
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	host := tlsProxy(t, socket, authority.ServerConfig())

	right := Settings{Host: host, CACert: authority.CA}
	right.Cert, right.Key = authority.Client(later)
	t.Run("right", func(t *testing.T) {
		c := open(t, right)
		t.Cleanup(CloseIdle) // before the proxy waits for its connections
		box := idle(t, c, image)
		_, stream := start(t, c, box, ExecSpec{Cmd: []string{"/bin/sh", "-c", "cat; echo end"}})
		if _, err := io.WriteString(stream, "beginning\n"); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(stream)
		if err != nil || string(out) != "beginning\nend\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})

	wrong, expired, none, distrustful := right, right, right, right
	wrong.Cert, wrong.Key = stranger.Client(later)
	expired.Cert, expired.Key = authority.Client(earlier)
	none.Cert, none.Key = "", ""
	distrustful.CACert = stranger.CA
	for name, s := range map[string]Settings{"wrong": wrong, "expired": expired, "none": none, "distrustful": distrustful} {
		t.Run(name, func(t *testing.T) {
			c := open(t, s)
			// The engine's alert may be lost when it hangs up at once: then
			// the next try sees it.
			err := Retry(testContext(t), func(ctx context.Context) error {
				_, err := c.Info(ctx)
				return err
			})
			if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		})
	}
}
