package sshserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ForwardHandler may be implemented by an SSHConnectionHandler that can make and
// accept connections where its programs run. Without it all forwards of
// connections are refused.
type ForwardHandler interface {
	// OnDial makes a connection for a channel of the client: "direct-tcpip"
	// (RFC 4254 section 7.2) or "direct-streamlocal@openssh.com". from is where
	// the client says that it comes from. The server closes the connection. An
	// error refuses the channel, as with OnSessionChannel. ctx ends with the
	// client's connection. OnDial may be called for several channels at the
	// same time.
	OnDial(ctx context.Context, channelID uint64, to, from Address) (Conn, error)

	// OnListen makes a listener for a request of the client: "tcpip-forward"
	// (RFC 4254 section 7.1) or "streamlocal-forward@openssh.com". Port 0 is
	// any that is free. The server offers what the listener accepts to the
	// client, and closes the listener when the client wants it no more or
	// leaves. An error refuses the request.
	OnListen(ctx context.Context, requestID uint64, at Address) (Listener, error)
}

// SessionForwardHandler may be implemented by a SessionChannelHandler whose
// program can have the client's authentication agent or display. Both methods
// come before the program. The handler makes a listener where the program runs,
// tells the program where it is, and calls serve with it, which offers all that
// it accepts to the client and returns when the listener has ended. The handler
// closes the listener. An error refuses the request.
type SessionForwardHandler interface {
	// OnAgentRequest is "auth-agent-req@openssh.com". Programs find the
	// listener in SSH_AUTH_SOCK.
	OnAgentRequest(requestID uint64, serve func(Listener)) error

	// OnX11Request is "x11-req" (RFC 4254 section 6.3.1). Programs find the
	// listener in DISPLAY.
	OnX11Request(requestID uint64, x11 X11, serve func(Listener)) error
}

// LocalAddressHandler may be implemented by an SSHConnectionHandler that tells
// programs to which address the client has come. It is called once, before all
// else.
type LocalAddressHandler interface {
	OnLocalAddress(server net.TCPAddr)
}

// Address is an end of a forwarded connection.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Host and Port are for tcp. To listen on, the empty host means all
	// addresses, and port 0 any that is free.
	Host string
	Port uint32
	// Path is for unix.
	Path string
}

func (a Address) String() string {
	if a.Network == "unix" {
		return a.Path
	}
	return net.JoinHostPort(a.Host, strconv.FormatUint(uint64(a.Port), 10))
}

// Conn is a connection with half-close.
type Conn interface {
	io.ReadWriteCloser
	// CloseWrite lets the other side read the end; it may go on writing.
	CloseWrite() error
}

// Listener accepts connections where programs run.
type Listener interface {
	// Accept waits for a connection. It returns an error after the listener's
	// end, and when ctx ends.
	Accept(ctx context.Context) (conn Conn, from Address, err error)
	// Address is where it listens: the port is never 0.
	Address() Address
	// Close ends the listener; accepted connections go on. It may be called
	// several times.
	Close() error
}

// X11 is what a client says of its display (RFC 4254 section 6.3.1).
type X11 struct {
	// Single allows one connection only.
	Single bool
	// Protocol and Cookie are for the authentication of X clients; Cookie is in
	// hexadecimal digits. Clients make one up, and put the true one into its
	// place in what comes through the forward.
	Protocol, Cookie string
	Screen           uint32
}

// Directions says which forwards are allowed: "yes" both, "local" those to
// where programs run (ssh -L, -D, -W), "remote" those from there (ssh -R), "no"
// none. Empty means "yes".
type Directions string

// Values lists the directions that exist.
func (Directions) Values() []string { return []string{"yes", "local", "remote", "no"} }

func (d Directions) local() bool  { return d == "" || d == "yes" || d == "local" }
func (d Directions) remote() bool { return d == "" || d == "yes" || d == "remote" }

// Forwarding says what a server lets clients forward. Its zero value allows all
// that the handlers can do. The names are those of sshd_config(5).
type Forwarding struct {
	// TCP is for connections by host and port.
	TCP Directions
	// StreamLocal is for connections by the path of a socket.
	StreamLocal Directions
	// DisableAgent refuses to forward authentication agents, and DisableX11
	// displays.
	DisableAgent, DisableX11 bool
	// GatewayPorts lets clients choose the address that a forward from where
	// programs run listens on. Otherwise it is the loopback address, whatever
	// they ask for.
	GatewayPorts bool
	// PermitOpen lists where connections may go, as host:port, both of which may
	// be "*". A host is compared with what the client says: names are not looked
	// up. Nil means everywhere, empty nowhere.
	PermitOpen []string
	// PermitListen lists what clients may ask to listen on, as host:port or
	// port. Nil means everything, empty nothing.
	PermitListen []string
}

// Validate says what is wrong with a Forwarding.
func (f Forwarding) Validate() error {
	for _, d := range []Directions{f.TCP, f.StreamLocal} {
		switch d {
		case "", "yes", "local", "remote", "no":
		default:
			return fmt.Errorf("%q says no directions of forwards; use one of %s", d, strings.Join(d.Values(), ", "))
		}
	}
	for _, text := range f.PermitOpen {
		if _, err := parsePermit(text, false); err != nil {
			return err
		}
	}
	for _, text := range f.PermitListen {
		if _, err := parsePermit(text, true); err != nil {
			return err
		}
	}
	return nil
}

// permitsDial says whether a client may connect to an address.
func (f *Forwarding) permitsDial(to Address) bool {
	if to.Network == "unix" {
		return f.StreamLocal.local()
	}
	return f.TCP.local() && permitted(f.PermitOpen, to, false)
}

// permitsListen says whether a client may listen at an address.
func (f *Forwarding) permitsListen(at Address) bool {
	if at.Network == "unix" {
		return f.StreamLocal.remote()
	}
	return f.TCP.remote() && permitted(f.PermitListen, at, true)
}

func permitted(list []string, a Address, listen bool) bool {
	for _, text := range list {
		if p, err := parsePermit(text, listen); err == nil && p.covers(a) {
			return true
		}
	}
	return list == nil
}

// permit is one line of PermitOpen or PermitListen.
type permit struct {
	host string // "*" is any
	port uint64 // 0 is any
}

// parsePermit parses host:port, or only the port where hostless allows it.
func parsePermit(text string, hostless bool) (permit, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil && hostless && !strings.Contains(text, ":") {
		host, port, err = "*", text, nil
	}
	if err != nil || host == "" {
		form := "host:port"
		if hostless {
			form = "host:port or port"
		}
		return permit{}, fmt.Errorf("%q must be %s; \"*\" stands for any", text, form)
	}
	if port == "*" {
		return permit{host: host}, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return permit{}, fmt.Errorf("%q: the port must be a number from 1 to 65535 or \"*\"", text)
	}
	return permit{host, n}, nil
}

func (p permit) covers(a Address) bool {
	if p.port != 0 && p.port != uint64(a.Port) {
		return false
	}
	if p.host == "*" || strings.EqualFold(p.host, a.Host) {
		return true
	}
	// Addresses have several spellings.
	want, err1 := netip.ParseAddr(p.host)
	got, err2 := netip.ParseAddr(a.Host)
	return err1 == nil && err2 == nil && want.Unmap() == got.Unmap()
}
