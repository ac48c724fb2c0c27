//go:build !linux

package agentproto

import (
	"errors"
	"net"
	"os"
)

// Socket is the server's end of a unix socket to an agent. It takes pipes along on
// Linux only.
type Socket struct{ *net.UnixConn }

// NewSocket uses a connection, which is closed with the Socket.
func NewSocket(conn *net.UnixConn) *Socket { return &Socket{conn} }

func newPipes() (ours [3]*os.File, theirs [3]int, err error) {
	return ours, theirs, errors.ErrUnsupported
}

func holdInput(*os.File) (release func()) { return func() {} }

func openFiles() int64 { return 0 }

func resizePipe(*os.File, int) bool { return false }

// AgentSocket is the agent's end of a Socket.
type AgentSocket struct{ *net.UnixConn }

// NewAgentSocket uses a connection, which is closed with the AgentSocket.
func NewAgentSocket(conn *net.UnixConn) *AgentSocket { return &AgentSocket{conn} }

// TakeFiles has none; see FileReader.
func (*AgentSocket) TakeFiles(uint32) []*os.File { return nil }
