package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/berth-ssh/berth/internal/settings"
	"github.com/berth-ssh/berth/sshserver"
)

const (
	defaultListen       = "127.0.0.1:2222"
	defaultDrainTimeout = 30 * time.Second
)

// SSH is the SSH server: where it listens and how it speaks.
type SSH struct {
	// Listen is the address to listen on, host:port. An empty host, as in
	// ":2222", is all of the machine's addresses; port 0 is any free port.
	// Default: 127.0.0.1:2222.
	Listen string `json:"listen,omitempty" yaml:"listen,omitempty"`
	// HostKeys are files with private keys that prove to clients who the server
	// is, at most one of each type, readable by their owner only. ssh-keygen
	// makes such files. Default: an ed25519 key in the state directory, made at
	// the first start.
	HostKeys []string `json:"hostKeys,omitempty" yaml:"hostKeys,omitempty"`
	// Banner is a text that is shown to the user before the login. Default:
	// none.
	Banner string `json:"banner,omitempty" yaml:"banner,omitempty"`
	// ServerVersion is the identification string that the server sends first,
	// "SSH-2.0-" and a name without spaces. OpenSSH's client tells only servers
	// whose names begin with OpenSSH that nobody reads a program's output any
	// more, as in "ssh HOST yes | head -1", which otherwise goes on: with
	// SSH-2.0-OpenSSH_Berth it ends. Default: SSH-2.0-Berth.
	ServerVersion string `json:"serverVersion,omitempty" yaml:"serverVersion,omitempty"`
	// MaxAuthTries is how many attempts to log in may fail before the
	// connection is cut. Each key that is refused counts. Negative means no
	// limit but the protocol library's. Default: 6.
	MaxAuthTries int `json:"maxAuthTries,omitempty" yaml:"maxAuthTries,omitempty"`
	// HandshakeTimeout is the time from accepting a connection to the end of
	// the login. Default: 2m.
	HandshakeTimeout time.Duration `json:"handshakeTimeout,omitempty" yaml:"handshakeTimeout,omitempty"`
	// KeepAlive finds clients that have vanished without a word, so that their
	// containers are removed.
	KeepAlive KeepAlive `json:"keepAlive,omitempty" yaml:"keepAlive,omitempty"`
	// MaxConnections bounds the connections of all clients together; further
	// ones are refused. Negative means no limit. Default: 4096.
	MaxConnections int `json:"maxConnections,omitempty" yaml:"maxConnections,omitempty"`
	// MaxStartups bounds the connections that have not logged in yet, as
	// sshd_config's MaxStartups does: "start:rate:full" takes all up to start,
	// refuses rate in a hundred from there on, and more and more up to full,
	// beyond which it refuses all. A number alone is start and full; "none" is
	// no limit. Default: "200:30:500".
	MaxStartups sshserver.Startups `json:"maxStartups,omitempty" yaml:"maxStartups,omitempty"`
	// PerSource bounds what comes from one source: an IPv4 address, or an IPv6
	// network. Behind a proxy or a load balancer that does not keep the clients'
	// addresses, all of them are one source: then turn these limits off, and
	// exempt it from penalties.
	PerSource PerSource `json:"perSource,omitempty" yaml:"perSource,omitempty"`
	// MaxConnectionsPerUser bounds the connections that are logged in with one
	// username; who has more is told so and sent away. Negative means no limit.
	// Default: a quarter of maxConnections, but not less than 64.
	MaxConnectionsPerUser int `json:"maxConnectionsPerUser,omitempty" yaml:"maxConnectionsPerUser,omitempty"`
	// Penalties keep sources away, for a while, whose connections end badly, as
	// sshd_config's PerSourcePenalties do. Each such connection adds to its
	// source's penalty, which passes with time. When that has reached min,
	// connections of the source are refused until all of it has passed.
	Penalties Penalties `json:"penalties,omitempty" yaml:"penalties,omitempty"`
	// MaxChannels bounds the open sessions of one connection; further ones are
	// refused. Each may take up to 2 MiB of memory. Negative means no limit.
	// Default: 32.
	MaxChannels int `json:"maxChannels,omitempty" yaml:"maxChannels,omitempty"`
	// MaxUnread bounds, in bytes, what a client may have sent on one connection
	// that no program in its container has read; who sends more is cut off. It
	// is measured on the network, and counts what is there beside the data. A
	// session or a forwarded connection takes 2 MiB before the client has to
	// wait. Negative means no limit. Default: 67108864.
	MaxUnread int `json:"maxUnread,omitempty" yaml:"maxUnread,omitempty"`
	// Environment bounds the environment variables that clients may ask for (ssh
	// -o SendEnv, SetEnv) in each session; further ones are refused.
	Environment Environment `json:"environment,omitempty" yaml:"environment,omitempty"`
	// Forwarding says what clients may forward to and from their containers.
	Forwarding Forwarding `json:"forwarding,omitempty" yaml:"forwarding,omitempty"`
	// Algorithms are the algorithms that are offered, by their names in the
	// protocol, best first.
	Algorithms Algorithms `json:"algorithms,omitempty" yaml:"algorithms,omitempty"`
	// CipherChoice is "client" (the first cipher of the client's list that is
	// offered is taken, as the protocol has it), "server" (the server waits for
	// that list, for one round trip at most, and offers AES-GCM only to clients
	// that have it, which is several times as fast as the ChaCha20 that OpenSSH
	// puts first), or "auto" ("server" for clients within 5 ms). Default: auto.
	CipherChoice sshserver.CipherChoice `json:"cipherChoice,omitempty" yaml:"cipherChoice,omitempty"`
	// DrainTimeout is the time that sessions get to end by themselves when the
	// server is asked to stop; who has a terminal is told. Then programs are asked
	// to end, and killed five seconds later. Default: 30s.
	DrainTimeout time.Duration `json:"drainTimeout,omitempty" yaml:"drainTimeout,omitempty"`
}

// KeepAlive finds clients that have vanished without a word.
type KeepAlive struct {
	// Interval is the time without a byte from the client after which it is
	// asked for a sign of life. Negative means never. Default: 30s.
	Interval time.Duration `json:"interval,omitempty" yaml:"interval,omitempty"`
	// CountMax is how many intervals in a row may then pass in silence before
	// the connection is cut. Default: 3.
	CountMax int `json:"countMax,omitempty" yaml:"countMax,omitempty"`
}

// PerSource bounds what comes from one source.
type PerSource struct {
	// MaxConnections bounds the connections of one source. Negative means no
	// limit. Default: a quarter of ssh.maxConnections, but not less than 64.
	MaxConnections int `json:"maxConnections,omitempty" yaml:"maxConnections,omitempty"`
	// MaxStartups bounds those that have not logged in yet. Negative means no
	// limit. Default: 150.
	MaxStartups int `json:"maxStartups,omitempty" yaml:"maxStartups,omitempty"`
	// PrefixIPv4 is how many bits of an IPv4 address make a source. Default: 32.
	PrefixIPv4 int `json:"prefixIPv4,omitempty" yaml:"prefixIPv4,omitempty"`
	// PrefixIPv6 is how many bits of an IPv6 address make a source. Default: 64,
	// since a customer gets as much.
	PrefixIPv6 int `json:"prefixIPv6,omitempty" yaml:"prefixIPv6,omitempty"`
}

// Server is the form that package sshserver has.
func (p PerSource) Server() sshserver.PerSource { return sshserver.PerSource(p) }

// Penalties keep sources away, for a while, whose connections end badly.
type Penalties struct {
	// Disabled turns penalties off.
	Disabled bool `json:"disabled,omitempty" yaml:"disabled,omitempty"`
	// AuthFail is for a connection on which logins were tried and none
	// succeeded. Negative means no such penalty, as for the next two. Default:
	// 5s.
	AuthFail time.Duration `json:"authFail,omitempty" yaml:"authFail,omitempty"`
	// NoAuth is for a connection that ended before a login was tried. Default:
	// 1s.
	NoAuth time.Duration `json:"noAuth,omitempty" yaml:"noAuth,omitempty"`
	// Grace is for a connection that was cut at ssh.handshakeTimeout. Default:
	// 10s.
	Grace time.Duration `json:"grace,omitempty" yaml:"grace,omitempty"`
	// Min is what a source may have without being refused. Default: 30s.
	Min time.Duration `json:"min,omitempty" yaml:"min,omitempty"`
	// Max is the most that a source can have, and so for how long it can be
	// refused. Default: 1m.
	Max time.Duration `json:"max,omitempty" yaml:"max,omitempty"`
	// MaxSources bounds the sources that are remembered. Default: 65536.
	MaxSources int `json:"maxSources,omitempty" yaml:"maxSources,omitempty"`
	// Overflow says what happens when there would be more: "permissive" forgets
	// the penalty that would pass first; "deny" refuses everybody who is not
	// exempt until a penalty has passed. Default: permissive.
	Overflow sshserver.Overflow `json:"overflow,omitempty" yaml:"overflow,omitempty"`
	// Exempt lists addresses and networks, such as 192.0.2.0/24, that get no
	// penalty. Default: this machine's own, 127.0.0.0/8 and ::1.
	Exempt []string `json:"exempt,omitempty" yaml:"exempt,omitempty"`
}

// Server is the form that package sshserver has.
func (p Penalties) Server() (sshserver.Penalties, error) {
	s := sshserver.Penalties{
		Disabled: p.Disabled, AuthFail: p.AuthFail, NoAuth: p.NoAuth, Grace: p.Grace,
		Min: p.Min, Max: p.Max, MaxSources: p.MaxSources, Overflow: p.Overflow,
	}
	if p.Exempt != nil {
		s.Exempt = []netip.Prefix{} // none is not the default
	}
	for _, text := range p.Exempt {
		network, err := netip.ParsePrefix(text)
		if address, bad := netip.ParseAddr(text); err != nil && bad == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return s, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", text)
		}
		s.Exempt = append(s.Exempt, network.Masked())
	}
	return s, nil
}

// Environment bounds the environment variables of a session.
type Environment struct {
	// MaxVariables bounds their number. Negative means no limit. Default: 128.
	MaxVariables int `json:"maxVariables,omitempty" yaml:"maxVariables,omitempty"`
	// MaxBytes bounds the bytes of their names and values together. Negative
	// means no limit. Default: 131072.
	MaxBytes int `json:"maxBytes,omitempty" yaml:"maxBytes,omitempty"`
}

// Forwarding says what clients may forward to and from their containers: a
// forward begins or ends inside the container's network, with the rights of its
// user. It needs docker.execution.agent: inject. In session mode forwards belong
// to the container of the newest session.
type Forwarding struct {
	// AllowTCP is "yes", "local" (ssh -L, -D, -W and -J: connections that the
	// container makes), "remote" (ssh -R: connections to the container), or
	// "no". Default: yes.
	AllowTCP sshserver.Directions `json:"allowTcp,omitempty" yaml:"allowTcp,omitempty"`
	// AllowStreamLocal is the same for unix sockets. Default: yes.
	AllowStreamLocal sshserver.Directions `json:"allowStreamLocal,omitempty" yaml:"allowStreamLocal,omitempty"`
	// DisableAgent refuses to forward clients' authentication agents (ssh -A).
	DisableAgent bool `json:"disableAgent,omitempty" yaml:"disableAgent,omitempty"`
	// DisableX11 refuses to forward clients' displays (ssh -X, -Y).
	DisableX11 bool `json:"disableX11,omitempty" yaml:"disableX11,omitempty"`
	// GatewayPorts lets clients choose the address that ssh -R listens on, so
	// that other containers can reach it. Otherwise it is the loopback address.
	GatewayPorts bool `json:"gatewayPorts,omitempty" yaml:"gatewayPorts,omitempty"`
	// PermitOpen lists where connections may go, each host:port, both of which
	// may be "*". A host is compared with what the client says; names are not
	// looked up. Default: everywhere.
	PermitOpen []string `json:"permitOpen,omitempty" yaml:"permitOpen,omitempty"`
	// PermitListen lists what ssh -R may listen on, each host:port or port.
	// Default: everything.
	PermitListen []string `json:"permitListen,omitempty" yaml:"permitListen,omitempty"`
	// MaxConnections bounds the forwarded connections of one client's
	// connection, in all directions together; further ones are refused. Each may
	// take up to 2 MiB of memory. Negative means no limit. Default: 256.
	MaxConnections int `json:"maxConnections,omitempty" yaml:"maxConnections,omitempty"`
}

// Server is the form that package sshserver has.
func (f Forwarding) Server() sshserver.Forwarding {
	return sshserver.Forwarding{
		TCP: f.AllowTCP, StreamLocal: f.AllowStreamLocal,
		DisableAgent: f.DisableAgent, DisableX11: f.DisableX11, GatewayPorts: f.GatewayPorts,
		PermitOpen: f.PermitOpen, PermitListen: f.PermitListen,
	}
}

// Algorithms are the algorithms that are offered. A list that is left out has
// the default, which leaves out what is weak; a weak algorithm must be named to
// be offered.
type Algorithms struct {
	// KeyExchanges agree on the keys of a connection. Default:
	// mlkem768x25519-sha256, curve25519-sha256. Clients that have neither may
	// have ecdh-sha2-nistp256.
	KeyExchanges []string `json:"keyExchanges,omitempty" yaml:"keyExchanges,omitempty"`
	// Ciphers encrypt. Default: aes128-gcm@openssh.com,
	// aes256-gcm@openssh.com, chacha20-poly1305@openssh.com, aes128-ctr,
	// aes192-ctr, aes256-ctr.
	Ciphers []string `json:"ciphers,omitempty" yaml:"ciphers,omitempty"`
	// MACs protect what a cipher does not protect by itself. Default:
	// hmac-sha2-256-etm@openssh.com, hmac-sha2-512-etm@openssh.com. Clients that
	// have neither, nor a cipher without MAC, may have hmac-sha2-256.
	MACs []string `json:"macs,omitempty" yaml:"macs,omitempty"`
	// HostKeys sign for the server. Those for which there is no host key are
	// not offered. Default: ed25519, ECDSA, and RSA with SHA-2.
	HostKeys []string `json:"hostKeys,omitempty" yaml:"hostKeys,omitempty"`
	// PublicKeys are the algorithms of users' keys. Default: all that do not
	// rest on SHA-1.
	PublicKeys []string `json:"publicKeys,omitempty" yaml:"publicKeys,omitempty"`
}

func (s SSH) withDefaults() SSH {
	setDefault(&s.Listen, defaultListen)
	setDefault(&s.ServerVersion, sshserver.DefaultServerVersion)
	setDefault(&s.MaxAuthTries, sshserver.DefaultMaxAuthTries)
	setDefault(&s.HandshakeTimeout, sshserver.DefaultHandshakeTimeout)
	setDefault(&s.KeepAlive.Interval, sshserver.DefaultKeepAliveInterval)
	setDefault(&s.KeepAlive.CountMax, sshserver.DefaultKeepAliveCountMax)
	setDefault(&s.MaxConnections, sshserver.DefaultMaxConnections)
	setDefault(&s.MaxStartups, sshserver.DefaultStartups)
	setDefault(&s.PerSource.MaxConnections, sshserver.DefaultShare(s.MaxConnections))
	setDefault(&s.PerSource.MaxStartups, sshserver.DefaultSourceStartups)
	setDefault(&s.PerSource.PrefixIPv4, sshserver.DefaultSourcePrefixIPv4)
	setDefault(&s.PerSource.PrefixIPv6, sshserver.DefaultSourcePrefixIPv6)
	setDefault(&s.MaxConnectionsPerUser, sshserver.DefaultShare(s.MaxConnections))
	s.Penalties = s.Penalties.withDefaults()
	setDefault(&s.MaxChannels, sshserver.DefaultMaxChannels)
	setDefault(&s.MaxUnread, sshserver.DefaultMaxUnread)
	setDefault(&s.Environment.MaxVariables, sshserver.DefaultMaxEnvVariables)
	setDefault(&s.Environment.MaxBytes, sshserver.DefaultMaxEnvBytes)
	setDefault(&s.CipherChoice, sshserver.CipherChoiceAuto)
	setDefault(&s.DrainTimeout, defaultDrainTimeout)
	setDefault(&s.Forwarding.AllowTCP, "yes")
	setDefault(&s.Forwarding.AllowStreamLocal, "yes")
	setDefault(&s.Forwarding.MaxConnections, sshserver.DefaultMaxForwards)

	def := sshserver.DefaultAlgorithms()
	for _, list := range []struct{ value, def *[]string }{
		{&s.Algorithms.KeyExchanges, &def.KeyExchanges},
		{&s.Algorithms.Ciphers, &def.Ciphers},
		{&s.Algorithms.MACs, &def.MACs},
		{&s.Algorithms.HostKeys, &def.HostKeys},
		{&s.Algorithms.PublicKeys, &def.PublicKeys},
	} {
		if *list.value == nil {
			*list.value = *list.def
		}
	}
	return s
}

func (p Penalties) withDefaults() Penalties {
	def := sshserver.DefaultPenalties()
	setDefault(&p.AuthFail, def.AuthFail)
	setDefault(&p.NoAuth, def.NoAuth)
	setDefault(&p.Grace, def.Grace)
	setDefault(&p.Min, def.Min)
	setDefault(&p.Max, def.Max)
	setDefault(&p.MaxSources, def.MaxSources)
	setDefault(&p.Overflow, def.Overflow)
	if p.Exempt == nil {
		for _, network := range def.Exempt {
			p.Exempt = append(p.Exempt, network.String())
		}
	}
	return p
}

func setDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

func (s SSH) validate() error {
	var errs settings.Errors
	errs.Under("listen", CheckListen(s.Listen))
	name, ok := strings.CutPrefix(s.ServerVersion, "SSH-2.0-")
	if !ok || name == "" || len(s.ServerVersion) > 253 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		// The form is that of RFC 4253 section 4.2, without comments.
		errs.Add("serverVersion", "%q must be SSH-2.0- and a name of printable characters without spaces, 253 in all at most", s.ServerVersion)
	}
	if s.HandshakeTimeout < 0 {
		errs.Add("handshakeTimeout", "%s is negative; leave it out for the default", s.HandshakeTimeout)
	}
	if s.KeepAlive.CountMax < 0 {
		errs.Add("keepAlive.countMax", "%d is negative; a negative interval turns the question off", s.KeepAlive.CountMax)
	}
	if s.DrainTimeout < 0 {
		errs.Add("drainTimeout", "%s is negative; leave it out for the default", s.DrainTimeout)
	}
	errs.Under("maxStartups", s.MaxStartups.Validate())
	errs.Under("perSource", s.PerSource.Server().Validate())
	penalties, err := s.Penalties.Server()
	errs.Under("penalties.exempt", err)
	errs.Under("penalties", penalties.Validate())
	errs.Under("cipherChoice", settings.OneOf(string(s.CipherChoice), s.CipherChoice.Values()...))
	f := s.Forwarding
	errs.Under("forwarding.allowTcp", sshserver.Forwarding{TCP: f.AllowTCP}.Validate())
	errs.Under("forwarding.allowStreamLocal", sshserver.Forwarding{StreamLocal: f.AllowStreamLocal}.Validate())
	errs.Under("forwarding.permitOpen", sshserver.Forwarding{PermitOpen: f.PermitOpen}.Validate())
	errs.Under("forwarding.permitListen", sshserver.Forwarding{PermitListen: f.PermitListen}.Validate())
	a := s.Algorithms
	errs.Under("algorithms.keyExchanges", sshserver.Algorithms{KeyExchanges: a.KeyExchanges}.Validate())
	errs.Under("algorithms.ciphers", sshserver.Algorithms{Ciphers: a.Ciphers}.Validate())
	errs.Under("algorithms.macs", sshserver.Algorithms{MACs: a.MACs}.Validate())
	errs.Under("algorithms.hostKeys", sshserver.Algorithms{HostKeys: a.HostKeys}.Validate())
	errs.Under("algorithms.publicKeys", sshserver.Algorithms{PublicKeys: a.PublicKeys}.Validate())
	return errs.Err()
}

// CheckListen checks the form of an address to listen on.
func CheckListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q must be host:port, such as 127.0.0.1:2222 or :2222", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q must be a number from 0 to 65535", port)
	}
	return nil
}
