package sshserver

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// settings are the fields of a Server, checked and with their defaults filled
// in. They never change.
type settings struct {
	handler           Handler
	protocol          ssh.ServerConfig // without callbacks and host keys
	hostKeys          []ssh.Signer
	cipherChoice      CipherChoice
	authMethods       []string
	handshakeTimeout  time.Duration // zero means none
	keepAliveInterval time.Duration // zero means none
	keepAliveCountMax int
	maxConnections    int // negative means no limit, as with the others
	maxStartups       Startups
	perSource         PerSource
	maxPerUser        int
	penalties         Penalties
	maxChannels       int
	forwarding        Forwarding
	maxForwards       int
	maxEnvVariables   int
	maxEnvBytes       int
	maxUnread         int
	log               *slog.Logger
	// exchanges are the key exchanges that all connections share.
	exchanges *rate.Limiter
	// strangers is log for what clients do that have not logged in.
	strangers *slog.Logger
}

// Validate says what is wrong with the fields of a Server, in words for the
// person who set them. Serve calls it.
func (s *Server) Validate() error {
	_, err := s.settings()
	return err
}

func (s *Server) settings() (*settings, error) {
	if s.Handler == nil {
		return nil, errors.New("sshserver: the Server has no Handler")
	}
	if err := s.Algorithms.Validate(); err != nil {
		return nil, fmt.Errorf("sshserver: %w", err)
	}
	algorithms := s.Algorithms.withDefaults()
	keys, err := hostKeys(s.HostKeys, algorithms.HostKeys)
	if err != nil {
		return nil, fmt.Errorf("sshserver: %w", err)
	}
	methods, err := authMethods(s.AuthMethods)
	if err != nil {
		return nil, fmt.Errorf("sshserver: %w", err)
	}
	if c := s.CipherChoice; c != "" && !slices.Contains(c.Values(), string(c)) {
		return nil, fmt.Errorf("sshserver: there is no cipher choice %q", c)
	}
	for _, part := range []interface{ Validate() error }{s.Forwarding, s.MaxStartups, s.PerSource, s.Penalties} {
		if err := part.Validate(); err != nil {
			return nil, fmt.Errorf("sshserver: %w", err)
		}
	}
	version := s.ServerVersion
	if version == "" {
		version = DefaultServerVersion
	}
	if err := validVersion(version); err != nil {
		return nil, fmt.Errorf("sshserver: %w", err)
	}

	v := &settings{
		handler: s.Handler,
		protocol: ssh.ServerConfig{
			Config: ssh.Config{
				KeyExchanges: algorithms.KeyExchanges,
				Ciphers:      algorithms.Ciphers,
				MACs:         algorithms.MACs,
			},
			PublicKeyAuthAlgorithms: algorithms.PublicKeys,
			MaxAuthTries:            orDefault(s.MaxAuthTries, DefaultMaxAuthTries),
			ServerVersion:           version,
		},
		hostKeys:          keys,
		cipherChoice:      orDefault(s.CipherChoice, CipherChoiceAuto),
		authMethods:       methods,
		handshakeTimeout:  max(0, orDefault(s.HandshakeTimeout, DefaultHandshakeTimeout)),
		keepAliveInterval: max(0, orDefault(s.KeepAliveInterval, DefaultKeepAliveInterval)),
		keepAliveCountMax: max(1, orDefault(s.KeepAliveCountMax, DefaultKeepAliveCountMax)),
		maxConnections:    orDefault(s.MaxConnections, DefaultMaxConnections),
		maxStartups:       orDefault(s.MaxStartups, DefaultStartups),
		perSource:         s.PerSource.withDefaults(s.MaxConnections),
		maxPerUser:        orDefault(s.MaxPerUser, DefaultShare(s.MaxConnections)),
		penalties:         s.Penalties,
		maxChannels:       orDefault(s.MaxChannels, DefaultMaxChannels),
		forwarding:        s.Forwarding,
		maxForwards:       orDefault(s.MaxForwards, DefaultMaxForwards),
		maxEnvVariables:   orDefault(s.MaxEnvVariables, DefaultMaxEnvVariables),
		maxEnvBytes:       orDefault(s.MaxEnvBytes, DefaultMaxEnvBytes),
		maxUnread:         orDefault(s.MaxUnread, DefaultMaxUnread),
		log:               s.Logger,
	}
	if banner := bannerText(s.Banner); banner != "" {
		v.protocol.BannerCallback = func(ssh.ConnMetadata) string { return banner }
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	v.exchanges = newSharedExchanges()
	v.strangers = slog.New(newSparing(v.log.Handler(), strangerRecords, strangerBurst))
	return v, nil
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}

// validVersion checks an identification string (RFC 4253 section 4.2).
func validVersion(version string) error {
	const prefix = "SSH-2.0-"
	switch {
	case len(version) <= len(prefix) || version[:len(prefix)] != prefix:
		return fmt.Errorf("server version %q does not begin with %q and a name", version, prefix)
	case len(version) > 253:
		return fmt.Errorf("server version is %d bytes long; 253 is the limit", len(version))
	case slices.ContainsFunc([]byte(version), func(b byte) bool { return b < ' ' || b > '~' }):
		return fmt.Errorf("server version %q holds characters that are not printable ASCII", version)
	}
	return nil
}

// bannerText ends a banner with a line end, so that what follows starts on a
// line of its own.
func bannerText(banner string) string {
	if banner == "" || banner[len(banner)-1] == '\n' {
		return banner
	}
	return banner + "\r\n"
}
