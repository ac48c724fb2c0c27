package backend

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/berth-ssh/berth/sshserver"
)

// OnDial makes a connection where the programs run.
func (c *Connection) OnDial(ctx context.Context, _ uint64, to, _ sshserver.Address) (sshserver.Conn, error) {
	f, err := c.forwarder(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Start)
	defer cancel()
	return f.Dial(ctx, to)
}

// OnListen makes a listener where the programs run.
func (c *Connection) OnListen(ctx context.Context, _ uint64, at sshserver.Address) (sshserver.Listener, error) {
	f, err := c.forwarder(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Start)
	defer cancel()
	return f.Listen(ctx, at)
}

// forwarder waits for the workload that forwards of the connection belong to:
// the one of ModeConnection, or in ModeSession that of the newest session. Where
// there is none yet one is made, for the first session to take over.
func (c *Connection) forwarder(ctx context.Context) (Forwarder, error) {
	if !c.options.Forwarding {
		return nil, &sshserver.ChannelRejection{Reason: sshserver.Prohibited,
			Message: "Nothing can be forwarded to or from the containers of this server.",
			Err:     errors.New(c.options.NoForwarding)}
	}
	c.mu.Lock()
	c.forget()
	if len(c.workloads) == 0 && !c.left {
		c.shared = c.begin(c.ctx, nil)
	}
	var newest *sharedWorkload
	if n := len(c.workloads); n > 0 {
		newest = c.workloads[n-1]
	}
	c.mu.Unlock()
	if newest == nil {
		return nil, errClientLeft
	}
	w, err := newest.get(ctx)
	if err != nil {
		var words sshserver.UserMessage
		if errors.As(err, &words) {
			err = &sshserver.ChannelRejection{Reason: sshserver.ConnectionFailed, Message: words.UserMessage(), Err: err}
		}
		return nil, err
	}
	return asForwarder(w)
}

func asForwarder(w Workload) (Forwarder, error) {
	f, ok := w.(Forwarder)
	if !ok {
		return nil, fmt.Errorf("%T forwards nothing", w)
	}
	return f, nil
}

// describe is what programs are told of the connection, as sshd(8) does it.
func (c *Connection) describe() []EnvVar {
	client, server := c.login.Client, c.server
	if client.IP == nil || server.IP == nil {
		return nil
	}
	from, to := strconv.Itoa(client.Port), strconv.Itoa(server.Port)
	return []EnvVar{
		{"SSH_CLIENT", client.IP.String() + " " + from + " " + to},
		{"SSH_CONNECTION", client.IP.String() + " " + from + " " + server.IP.String() + " " + to},
	}
}

// forwards are what a session has been asked to forward to its program. Guarded
// by session.mu, and unchanged once the program has been requested.
type forwards struct {
	agent func(sshserver.Listener) // nil if not asked for
	x11   func(sshserver.Listener) // nil if not asked for
	// display is what the client says of its display.
	display sshserver.X11
	cookie  []byte
}

// OnAgentRequest forwards the client's authentication agent to the program.
func (s *session) OnAgentRequest(_ uint64, serve func(sshserver.Listener)) error {
	return s.wantForward(func(f *forwards) { f.agent = serve })
}

// maxCookieBytes bounds an X11 cookie; that of MIT-MAGIC-COOKIE-1 has 16 bytes.
const maxCookieBytes = 256

// OnX11Request forwards the client's display to the program.
func (s *session) OnX11Request(_ uint64, x sshserver.X11, serve func(sshserver.Listener)) error {
	cookie, err := hex.DecodeString(x.Cookie)
	switch {
	case err != nil:
		return fmt.Errorf("X11 cookie refused: %w", err)
	case len(cookie) > maxCookieBytes || len(x.Protocol) > maxCookieBytes:
		return fmt.Errorf("X11 cookie refused: longer than %d bytes", maxCookieBytes)
	}
	return s.wantForward(func(f *forwards) { f.x11, f.display, f.cookie = serve, x, cookie })
}

func (s *session) wantForward(set func(*forwards)) error {
	if !s.c.options.Forwarding {
		return errors.New(s.c.options.NoForwarding)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseIdle {
		return s.alreadyRunning()
	}
	set(&s.forwards)
	return nil
}

const (
	// x11FirstDisplay leaves the lower numbers to displays inside the workload,
	// as sshd_config(5) has it for X11DisplayOffset.
	x11FirstDisplay = 10
	x11Displays     = 1000
	x11BasePort     = 6000
)

// forward makes the listeners that the program's forwards need, and tells the
// program of them. What can't be forwarded is logged, and the program runs
// without. The caller calls end when the program has ended.
func (s *session) forward(w Workload, p *Program) (end func()) {
	if s.forwards.agent == nil && s.forwards.x11 == nil {
		return func() {}
	}
	f, err := asForwarder(w)
	if err != nil {
		s.log.Error("nothing is forwarded", "error", err)
		return func() {}
	}
	var listeners []sshserver.Listener
	serve := func(l sshserver.Listener, with func(sshserver.Listener)) {
		listeners = append(listeners, l)
		s.c.work.Go(func() { with(l) })
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.c.options.Start)
	defer cancel()
	if s.forwards.agent != nil {
		l, err := f.Listen(ctx, sshserver.Address{Network: "unix"})
		if err != nil {
			s.log.Warn("the client's authentication agent is not forwarded", "error", err)
		} else {
			p.Env = append(p.Env, EnvVar{"SSH_AUTH_SOCK", l.Address().Path})
			serve(l, s.forwards.agent)
		}
	}
	if s.forwards.x11 != nil {
		l, err := listenX11(ctx, f)
		if err != nil {
			s.log.Warn("the client's display is not forwarded", "error", err)
		} else {
			p.X11 = &X11{
				Display: l.Address().Port - x11BasePort, Screen: s.forwards.display.Screen,
				Protocol: s.forwards.display.Protocol, Cookie: s.forwards.cookie,
			}
			serve(l, s.forwards.x11)
		}
	}
	return func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
}

// listenX11 listens at the port of the first display that is free.
func listenX11(ctx context.Context, f Forwarder) (l sshserver.Listener, err error) {
	for display := range uint32(x11Displays) {
		port := x11BasePort + x11FirstDisplay + display
		l, err = f.Listen(ctx, sshserver.Address{Network: "tcp", Host: net.IPv4(127, 0, 0, 1).String(), Port: port})
		var busy *sshserver.ChannelRejection
		if err == nil || !errors.As(err, &busy) {
			return l, err
		}
	}
	return nil, err
}
