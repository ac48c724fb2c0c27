package engine

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

const defaultTimeout = 15 * time.Second

// address is a Host taken apart.
type address struct {
	// network is unix, tcp or npipe.
	network string
	// hostport is where to dial: a path for unix and npipe.
	hostport string
	// path goes before that of every request; only tcp may have one.
	path string
}

func (s Settings) withDefaults() Settings {
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	return s
}

const settingsOp = "engine settings"

func (s Settings) address() (address, error) {
	if s.Host == "" {
		return address{}, fail(settingsOp, ErrInvalid,
			"the host is empty; use unix:///path, tcp://host:port or npipe:////./pipe/name")
	}
	if s.Timeout < 0 {
		return address{}, fail(settingsOp, ErrInvalid, "the timeout %v is negative", s.Timeout)
	}
	u, err := client.ParseHostURL(s.Host)
	if err != nil {
		return address{}, fail(settingsOp, ErrInvalid,
			"host %q: %w; use unix:///path, tcp://host:port or npipe:////./pipe/name", s.Host, err)
	}
	switch u.Scheme {
	case "unix", "npipe":
	case "tcp":
		if _, _, err := net.SplitHostPort(u.Host); err != nil {
			return address{}, fail(settingsOp, ErrInvalid, "host %q: %w", s.Host, err)
		}
	default:
		return address{}, fail(settingsOp, ErrInvalid,
			"host %q has the unknown scheme %q; use unix, tcp or npipe", s.Host, u.Scheme)
	}
	return address{network: u.Scheme, hostport: u.Host, path: strings.TrimSuffix(u.Path, "/")}, nil
}

// tls makes the configuration for TLS; nil if there is to be none.
func (s Settings) tls(a address) (*tls.Config, error) {
	if s.CACert == "" && s.Cert == "" && s.Key == "" {
		return nil, nil
	}
	if a.network != "tcp" {
		return nil, fail(settingsOp, ErrInvalid, "certificates are for tcp hosts, and the host is %q", s.Host)
	}
	host, _, err := net.SplitHostPort(a.hostport)
	if err != nil {
		return nil, fail(settingsOp, ErrInvalid, "host %q: %w", s.Host, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if s.CACert != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(s.CACert)) {
			return nil, fail(settingsOp, ErrInvalid, "cacert holds no PEM certificate")
		}
	}
	switch {
	case s.Cert == "" && s.Key != "":
		return nil, fail(settingsOp, ErrInvalid, "there is a key without a cert")
	case s.Cert != "" && s.Key == "":
		return nil, fail(settingsOp, ErrInvalid, "there is a cert without a key")
	case s.Cert != "":
		pair, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key))
		if err != nil {
			return nil, fail(settingsOp, ErrInvalid, "cert and key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
