//go:build linux

package guest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/agentproto"
)

// dialTimeout bounds a connection to somebody who does not answer at all.
const dialTimeout = 30 * time.Second

// Dial makes a connection from inside the container.
func (h *host) Dial(ctx context.Context, who string, to agentproto.Address) (agentproto.Duplex, error) {
	user, err := h.memory.account(who)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	var c net.Conn
	if to.Network == "unix" {
		// Whoever may connect to a socket is a matter of its permissions.
		err = user.do(func() error {
			c, err = dialer.DialContext(ctx, "unix", to.Path)
			return err
		})
	} else {
		c, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(known(ctx, to.Host), strconv.Itoa(int(to.Port))))
	}
	if err != nil {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonConnectFailed, Message: reason(err)}
	}
	return c.(agentproto.Duplex), nil
}

// known is a name as the resolver knows it. localhost is here (RFC 6761, section 6.3)
// also where no file says so: a container without a network gets none from the engine.
func known(ctx context.Context, name string) string {
	if name == "localhost" {
		if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
			return "127.0.0.1"
		}
	}
	return name
}

// reason is what has gone wrong, without what was tried: that the client knows.
func reason(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return lookup.Name + ": " + lookup.Err
	}
	return err.Error()
}

// Listen makes a listener inside the container.
func (h *host) Listen(ctx context.Context, who string, at agentproto.Address) (agentproto.ServerListener, error) {
	user, err := h.memory.account(who)
	if err != nil {
		return nil, err
	}
	l := &listener{user: user, at: at}
	err = user.do(func() (err error) {
		if at.Network == "unix" {
			return l.listenUnix(ctx)
		}
		// RFC 4254 section 7.1: "" is all addresses, and "0.0.0.0" those of IPv4,
		// which Go would not tell apart.
		network, bind := "tcp", at.Host
		if ip := net.ParseIP(bind); ip.To4() != nil {
			network = "tcp4"
		} else if bind == "*" {
			bind = ""
		}
		if l.Listener, err = (&net.ListenConfig{}).Listen(ctx, network, net.JoinHostPort(known(ctx, bind), strconv.Itoa(int(at.Port)))); err == nil {
			l.at.Port = uint32(l.Addr().(*net.TCPAddr).Port)
		}
		return err
	})
	if err != nil {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonConnectFailed, Message: reason(err)}
	}
	return l, nil
}

// listener is one inside the container.
type listener struct {
	net.Listener
	user    account
	at      agentproto.Address
	private string // the directory that goes with it, or ""
}

// listenUnix listens at a path, or in a new private directory if there is none.
// Only its owner may connect.
func (l *listener) listenUnix(ctx context.Context) (err error) {
	if l.at.Path == "" {
		if l.private, err = privateDirectory(); err != nil {
			return err
		}
		l.at.Path = filepath.Join(l.private, "socket")
	}
	l.Listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", l.at.Path)
	if err == nil {
		if err = os.Chmod(l.at.Path, 0o600); err != nil {
			_ = l.Listener.Close()
		}
	}
	if err != nil && l.private != "" {
		_ = os.RemoveAll(l.private)
	}
	return err
}

// privateDirectory makes a directory that only its owner can enter. Where a root
// file system is read-only, containers still have their shared memory.
func privateDirectory() (path string, err error) {
	for _, parent := range []string{"/tmp", "/dev/shm", "/run", "/var/tmp"} {
		if path, err = os.MkdirTemp(parent, "berth-"); err == nil {
			return path, nil
		}
	}
	return "", err
}

func (l *listener) At() agentproto.Address { return l.at }

// Close removes the socket too: with the rights of its user, who may have put
// something else into its place.
func (l *listener) Close() error {
	return l.user.do(func() error {
		err := l.Listener.Close()
		if l.private != "" {
			_ = os.RemoveAll(l.private)
		}
		return err
	})
}

func (l *listener) Accept() (agentproto.Duplex, agentproto.Address, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, agentproto.Address{}, err
	}
	from := agentproto.Address{Network: l.at.Network, Path: l.at.Path}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		from = agentproto.Address{Network: "tcp", Host: tcp.IP.String(), Port: uint32(tcp.Port)}
	}
	duplex, ok := c.(agentproto.Duplex)
	if !ok {
		_ = c.Close()
		return nil, agentproto.Address{}, fmt.Errorf("%T has no half-close", c)
	}
	return duplex, from, nil
}
