package agentproto

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Socket is the server's end of a unix socket to an agent. It takes the pipes of
// programs without a terminal along (SCM_RIGHTS, unix(7)), whose bytes then go past
// both the agent and the engine. Files that the other end sends are not taken.
type Socket struct {
	*net.UnixConn

	mu      sync.Mutex // for memory only
	waiting [][3]int   // for the next Write
	sent    uint32     // batches in all
	closed  bool
}

var _ fileWriter = (*Socket)(nil)

// NewSocket uses a connection, which is closed with the Socket.
func NewSocket(conn *net.UnixConn) *Socket { return &Socket{UnixConn: conn} }

// batchesAtOnce is how many batches of three files go with one piece of data. The
// kernel takes 253 files (SCM_MAX_FD).
const batchesAtOnce = 20

// newPipes makes the three pipes of a session: the server's ends, which wait in
// Go's way, and the program's, which wait in the system's.
func newPipes() (ours [3]*os.File, theirs [3]int, err error) {
	names := [3]string{"standard input", "standard output", "standard error"}
	for i, name := range names {
		var fd [2]int
		if err = unix.Pipe2(fd[:], unix.O_CLOEXEC); err != nil {
			err = os.NewSyscallError("pipe2", err)
			closeFiles(ours[:i])
			closeAll(theirs[:i])
			break
		}
		mine, its := fd[0], fd[1]
		if i == 0 {
			mine, its = its, mine
		}
		theirs[i] = its
		// So that the program may open /dev/stdout again, whoever it runs as. Neither
		// this nor what follows can fail on a pipe of one's own.
		_ = unix.Fchmod(mine, 0o666)
		_, _ = unix.FcntlInt(uintptr(mine), unix.F_SETFL, unix.O_NONBLOCK)
		ours[i] = os.NewFile(uintptr(mine), name)
	}
	return ours, theirs, err
}

// closeAll closes files of the program's.
func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}

// openFiles is how many files this process may have open (RLIMIT_NOFILE).
func openFiles() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int64(min(limit.Cur, 1<<30))
}

// resizePipe changes how much a pipe holds, if that is allowed (fcntl(2)).
func resizePipe(f *os.File, size int) (ok bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size)
		ok = err == nil
	})
	return ok && err == nil
}

// holdInput opens the other end of a pipe that is a program's standard input, to keep
// it and nothing else, until release is called; more often does no harm.
func holdInput(stdin *os.File) (release func()) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(stdin.Fd())), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	return sync.OnceFunc(func() { _ = unix.Close(fd) })
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (s *Socket) sendFiles(files [3]int) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		closeAll(files[:])
	} else {
		s.waiting = append(s.waiting, files)
	}
	s.sent++
	return s.sent - 1
}

// next takes as many files as go with one piece of data.
func (s *Socket) next() (files [][3]int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), batchesAtOnce)
	files, s.waiting = s.waiting[:n:n], s.waiting[n:]
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
	return files, s.waiting != nil
}

// Write writes all of b, and with it the files that wait.
func (s *Socket) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		files, more := s.next()
		if files == nil {
			n, err := s.UnixConn.Write(b)
			return written + n, err
		}
		piece := b
		if more {
			piece = b[:1]
		}
		n, err := s.writeWith(files, piece)
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

func (s *Socket) writeWith(files [][3]int, b []byte) (int, error) {
	var fds []int
	for _, batch := range files {
		fds = append(fds, batch[:]...)
	}
	defer closeAll(fds)
	n, _, err := s.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	return n, err
}

// Close ends the connection, and closes the files that have not been sent.
func (s *Socket) Close() error {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.closed = nil, true
	s.mu.Unlock()
	for _, files := range waiting {
		closeAll(files[:])
	}
	return s.UnixConn.Close()
}

// AgentSocket is the agent's end of a Socket.
type AgentSocket struct {
	*net.UnixConn

	mu       sync.Mutex            // for memory only
	arrived  map[uint32][]*os.File // that nobody has taken
	received uint32                // batches in all
}

var _ FileReader = (*AgentSocket)(nil)

// NewAgentSocket uses a connection, which is closed with the AgentSocket.
func NewAgentSocket(conn *net.UnixConn) *AgentSocket {
	return &AgentSocket{UnixConn: conn, arrived: map[uint32][]*os.File{}}
}

// Read reads bytes, and keeps files that come with them.
func (s *AgentSocket) Read(b []byte) (int, error) {
	var control [128 + 4*3*batchesAtOnce]byte
	n, size, _, _, err := s.ReadMsgUnix(b, control[:])
	n = max(n, 0) // -1 with an error
	if size > 0 {
		if err := s.receive(control[:size]); err != nil {
			return n, err
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.EOF // as of a Read
	}
	return n, err
}

func (s *AgentSocket) receive(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		for ; len(fds) >= 3; fds = fds[3:] {
			var batch []*os.File
			for _, fd := range fds[:3] {
				batch = append(batch, os.NewFile(uintptr(fd), "pipe"))
			}
			s.arrived[s.received] = batch
			s.received++
		}
	}
	return nil
}

// TakeFiles takes files that have come; see FileReader.
func (s *AgentSocket) TakeFiles(batch uint32) []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := s.arrived[batch]
	delete(s.arrived, batch)
	return files
}
