package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/agentproto"
)

// socketDirectory is where a container has its directory with the socket. It is in
// the agent's volume, whose directory of that name is empty.
const socketDirectory = agentDirectory + "/server"

// agentSockets are this server's sockets for the agents of its containers. On the
// engine's machine a byte need not go through the engine: the agent in a container
// connects to a socket in a directory that is mounted into this container only, and
// all that they have to say, and the pipes of programs, go over that.
//
// Whether a container can reach the socket shows when it does: the engine may be on
// another machine, or see other files under the same names, as where a server runs in
// a container itself. Then the stream is the engine's attach.
type agentSockets struct {
	directory string
	log       *slog.Logger
	reached   atomic.Bool // by a container
	off       atomic.Bool
}

// newAgentSockets makes the directory anew, which only this server may use. It is
// nil where there can be no sockets.
func newAgentSockets(directory, host string, log *slog.Logger) (*agentSockets, error) {
	if runtime.GOOS != "linux" || !strings.HasPrefix(host, "unix://") {
		return nil, nil
	}
	directory, err := filepath.Abs(directory)
	if err == nil {
		err = os.RemoveAll(directory) // what an earlier run has left
	}
	if err == nil {
		err = os.Mkdir(directory, 0o700)
	}
	if err != nil {
		return nil, err
	}
	return &agentSockets{directory: directory, log: log}, nil
}

// open makes a socket for one container; nil if there is to be none.
func (s *agentSockets) open() *agentSocket {
	if s == nil || s.off.Load() {
		return nil
	}
	a, err := s.listen(newLaunchID())
	if err != nil {
		s.log.Warn("no socket for a container's agent; its sessions go through the engine", "error", err)
		return nil
	}
	return a
}

// giveUp makes no more sockets.
func (s *agentSockets) giveUp(reason error) {
	if !s.off.Swap(true) {
		s.log.Info("containers cannot reach this server's sockets; their sessions go through the engine, which takes more time", "error", reason)
	}
}

func (s *agentSockets) close() {
	if s != nil {
		_ = os.RemoveAll(s.directory)
	}
}

// agentSocket is the socket for the agent of one container. One connection is
// accepted, ever.
type agentSocket struct {
	of        *agentSockets
	directory string
	listener  *net.UnixListener
	closed    atomic.Bool
}

// socketName is the socket's in its directory.
const socketName = "socket"

func (s *agentSockets) listen(name string) (_ *agentSocket, err error) {
	a := &agentSocket{of: s, directory: filepath.Join(s.directory, name)}
	if err := os.Mkdir(a.directory, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(a.directory)
		}
	}()
	// A socket's path has at most 107 bytes: a short one is found (unix(7)).
	dir, err := os.Open(a.directory)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName)
	a.listener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil, err
	}
	a.listener.SetUnlinkOnClose(false) // the directory goes
	// Whoever the container's first process is.
	if err := os.Chmod(path, 0o666); err != nil {
		_ = a.listener.Close()
		return nil, err
	}
	return a, nil
}

// mount is how the container gets the directory.
func (a *agentSocket) mount() mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: a.directory, Target: socketDirectory, ReadOnly: true}
}

// command is how the agent is started.
func (a *agentSocket) command() []string {
	argv := []string{injectedAgent, "serve"}
	if a != nil {
		argv = append(argv, "-socket", socketDirectory+"/"+socketName)
	}
	return argv
}

// refused says whether the engine could not mount the directory, and gives all
// sockets up if so.
func (a *agentSocket) refused(err error) bool {
	if a == nil || !strings.Contains(err.Error(), filepath.Base(a.directory)) {
		return false
	}
	a.of.giveUp(err)
	return true
}

// close ends what connect has not used.
func (a *agentSocket) close() {
	if a != nil {
		a.closed.Store(true)
		_ = a.listener.Close()
		_ = os.RemoveAll(a.directory)
	}
}

// closeAgain is called when an engine has answered that nobody waits for any more:
// where the directory had gone meanwhile, Podman has made it anew to mount it.
func (a *agentSocket) closeAgain() {
	if a != nil && a.closed.Load() {
		a.close()
	}
}

var errNoSocket = errors.New("the agent has not found the socket")

// connect connects to the agent, which says hello on its socket if it has found
// that, or else on the stream that the engine has to it. Without a socket there is
// only the stream.
func (a *agentSocket) connect(ctx context.Context, stream io.ReadWriteCloser) (*agentproto.Client, error) {
	if a == nil {
		return agentproto.Connect(ctx, stream)
	}
	came := make(chan *net.UnixConn, 1)
	go func() {
		conn, _ := a.listener.AcceptUnix()
		_ = a.listener.Close()
		came <- conn
	}()
	type greeting struct {
		client *agentproto.Client
		err    error
	}
	greeted := make(chan greeting, 1)
	streamCtx, leave := context.WithCancel(ctx)
	defer leave()
	go func() {
		client, err := agentproto.Connect(streamCtx, stream)
		greeted <- greeting{client, err}
	}()
	var conn *net.UnixConn
	var g greeting
	select {
	case conn = <-came:
		leave()
		g = <-greeted
	case g = <-greeted:
		_ = a.listener.Close()
		conn = <-came
	}
	switch {
	case conn == nil && g.err == nil:
		if !a.of.reached.Load() {
			a.of.giveUp(errNoSocket)
		}
		return g.client, nil
	case conn == nil:
		return nil, g.err
	case g.err == nil:
		_ = g.client.Close() // it has said hello on both
	}
	client, err := agentproto.Connect(ctx, agentproto.NewSocket(conn))
	if err == nil {
		a.of.reached.Store(true)
		a.of.log.Debug("an agent has connected by its socket")
	}
	return client, err
}
