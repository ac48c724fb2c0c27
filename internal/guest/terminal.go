//go:build linux

package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/agentproto"
)

// terminal is the master side of a pseudo-terminal (pty(7)).
type terminal struct{ *os.File }

// openTerminal makes a terminal as the client wants it, and opens its slave
// side for the program.
func openTerminal(want *agentproto.Terminal, user account) (master *terminal, slave *os.File, err error) {
	// Non-blocking, so that a Read can be ended.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = &terminal{os.NewFile(uintptr(fd), "/dev/ptmx")}
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, os.NewSyscallError("unlock a terminal", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, os.NewSyscallError("number of a terminal", err)
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = slave.Close()
		}
	}()
	if err := master.resize(want.Size); err != nil {
		return nil, nil, err
	}
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS) // of the slave
	if err != nil {
		return nil, nil, os.NewSyscallError("modes of a terminal", err)
	}
	applyModes(modes, want.Modes)
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, modes); err != nil {
		return nil, nil, os.NewSyscallError("modes of a terminal", err)
	}
	if !user.isSelf() {
		if err := slave.Chown(int(user.uid), int(user.gid)); err != nil {
			return nil, nil, err
		}
	}
	return master, slave, nil
}

// control does something with the file's descriptor.
func (t *terminal) control(do func(fd int) error) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

func (t *terminal) resize(s agentproto.Size) error {
	short := func(n uint32) uint16 { return uint16(min(n, 1<<16-1)) }
	size := &unix.Winsize{Row: short(s.Rows), Col: short(s.Columns), Xpixel: short(s.Width), Ypixel: short(s.Height)}
	return t.control(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
}

const (
	// afterExit is how long a terminal's output is waited for when its program
	// has ended, and something else still has the terminal open.
	afterExit = 100 * time.Millisecond
	// held is more than a terminal holds of what a program has written.
	held = 128 << 10
)

// said is what programs write on a terminal, to its last close (EIO). When a read
// deadline says that the program has ended, there is still what it has written,
// however slowly the client takes it; but whoever else has the terminal open is
// not waited for.
type said struct {
	*terminal
	ended bool
	left  int // may still come after the program's end
}

func (s *said) Read(b []byte) (int, error) {
	if !s.ended {
		n, err := s.terminal.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		s.ended = true
	}
	if s.left <= 0 {
		return 0, io.EOF
	}
	_ = s.SetReadDeadline(time.Now().Add(afterExit))
	n, err := s.terminal.Read(b)
	s.left -= n
	return n, err
}

// takeInput copies what the user types. At its end there comes the terminal's
// own character for that.
func (t *terminal) takeInput(stdin io.ReadCloser) {
	atLineStart := true
	buf := make([]byte, 4096)
	for {
		n, err := stdin.Read(buf)
		if n > 0 {
			atLineStart = buf[n-1] == '\n' || buf[n-1] == '\r'
			if _, err := t.Write(buf[:n]); err != nil {
				_ = stdin.Close()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			t.writeEOF(atLineStart)
		}
		if err != nil {
			return
		}
	}
}

func (t *terminal) writeEOF(atLineStart bool) {
	eof := byte(0)
	_ = t.control(func(fd int) error {
		modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && modes.Lflag&unix.ICANON != 0 {
			eof = modes.Cc[unix.VEOF]
		}
		return err
	})
	if eof == 0 {
		return // in raw mode, or without such a character
	}
	text := []byte{eof}
	if !atLineStart {
		text = []byte{eof, eof} // the first one only ends the line
	}
	_, _ = t.Write(text)
}
