//go:build linux

package guest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/berth-ssh/berth/agentproto"
)

// Dial makes a connection from inside the container.
func (h *host) Dial(ctx context.Context, to agentproto.Address) (agentproto.Duplex, error) {
	network, address := to.Network, to.Path
	if network == "tcp" {
		address = net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonConnectFailed, Message: err.Error()}
	}
	return c.(agentproto.Duplex), nil
}

// Listen makes a listener inside the container.
func (h *host) Listen(ctx context.Context, at agentproto.Address) (agentproto.ServerListener, error) {
	network, address := at.Network, at.Path
	if network == "tcp" {
		host := at.Host
		if host == "*" {
			host = ""
		}
		address = net.JoinHostPort(host, strconv.Itoa(int(at.Port)))
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonConnectFailed, Message: err.Error()}
	}
	if network == "unix" {
		if err := os.Chmod(at.Path, 0o600); err != nil {
			_ = l.Close()
			return nil, err
		}
	} else if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		at.Port = uint32(tcp.Port)
	}
	return &listener{l, at}, nil
}

type listener struct {
	net.Listener
	at agentproto.Address
}

func (l *listener) At() agentproto.Address { return l.at }

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
