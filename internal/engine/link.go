package engine

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

const (
	// lingering is how long a link without shares is kept, so that logins that
	// come one after another do not negotiate each time.
	lingering = time.Minute
	// idleConnections is above heavyCalls, so that a burst of calls finds the
	// connections of the last one: with net/http's own limit of two per host
	// all but two would be dialled anew.
	idleConnections = 32
	idleTimeout     = 30 * time.Second
)

// link is the one way to an engine, shared by all Clients of equal Settings.
type link struct {
	settings  Settings
	address   address
	tls       *tls.Config // nil without TLS
	dial      func(context.Context) (net.Conn, error)
	transport *http.Transport
	places    places

	mu sync.Mutex // for memory only, never held over I/O
	// negotiated is nil until the engine has answered.
	negotiated *negotiated
	// flight is the negotiation under way, if there is one.
	flight *flight

	// shares and linger are guarded by links.mu.
	shares int
	linger *time.Timer
}

// links holds what is shared in this process: the purpose is to have one pool
// of connections per engine, whoever opens it.
var links = struct {
	mu sync.Mutex // for memory only, never held over I/O
	m  map[Settings]*link
}{m: map[Settings]*link{}}

// Open checks s and returns a share in the client for it; nothing is dialled
// yet. Settings that can't be right are an ErrInvalid.
func Open(s Settings) (*Client, error) {
	s = s.withDefaults()
	links.mu.Lock()
	defer links.mu.Unlock()
	l := links.m[s]
	if l == nil {
		var err error
		if l, err = newLink(s); err != nil {
			return nil, err
		}
		links.m[s] = l
	}
	l.shares++
	if l.linger != nil {
		l.linger.Stop()
		l.linger = nil
	}
	return &Client{link: l}, nil
}

// CloseIdle drops what is kept for a minute after its last Client was closed.
// It is for programs that end, and for tests.
func CloseIdle() {
	links.mu.Lock()
	var idle []*link
	for s, l := range links.m {
		if l.shares == 0 {
			if l.linger != nil {
				l.linger.Stop()
				l.linger = nil
			}
			delete(links.m, s)
			idle = append(idle, l)
		}
	}
	links.mu.Unlock()
	for _, l := range idle {
		l.transport.CloseIdleConnections()
	}
}

func (l *link) release() {
	links.mu.Lock()
	defer links.mu.Unlock()
	l.shares--
	if l.shares == 0 {
		l.linger = time.AfterFunc(lingering, l.expire)
	}
}

func (l *link) expire() {
	links.mu.Lock()
	gone := l.shares == 0 && links.m[l.settings] == l
	if gone {
		delete(links.m, l.settings)
	}
	links.mu.Unlock()
	if gone {
		l.transport.CloseIdleConnections()
	}
}

func newLink(s Settings) (*link, error) {
	a, err := s.address()
	if err != nil {
		return nil, err
	}
	config, err := s.tls(a)
	if err != nil {
		return nil, err
	}
	// The API client knows how to dial each kind of host, Windows' pipes too.
	dialer, err := client.New(client.WithHost(s.Host))
	if err != nil {
		return nil, fail(settingsOp, ErrInvalid, "host %q: %w", s.Host, err)
	}
	l := &link{
		settings: s,
		address:  a,
		tls:      config,
		dial:     dialer.Dialer(),
		transport: &http.Transport{
			TLSClientConfig:     config.Clone(),
			MaxIdleConns:        idleConnections,
			MaxIdleConnsPerHost: idleConnections,
			IdleConnTimeout:     idleTimeout,
			TLSHandshakeTimeout: s.Timeout,
			DisableCompression:  true,
		},
	}
	l.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }
	return l, nil
}

// roundTripper hides the transport's type from the API client, which would
// copy it, and with it the pool of connections, for each of its clients.
type roundTripper struct{ *http.Transport }

// client makes an API client over the shared transport.
func (l *link) client(opts ...client.Opt) (*client.Client, error) {
	return client.New(append([]client.Opt{
		client.WithHost(l.settings.Host),
		client.WithHTTPClient(&http.Client{
			Transport:     roundTripper{l.transport},
			CheckRedirect: client.CheckRedirect,
		}),
		client.WithScheme(l.scheme()),
	}, opts...)...)
}

func (l *link) scheme() string {
	if l.tls != nil {
		return "https"
	}
	return "http"
}
