package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/sshserver"
)

// The characters of an engine's terminals. Engines take no terminal modes, so
// that these are in force whatever the client has asked for.
const (
	charInterrupt = 0x03 // VINTR, ctrl-c
	charEOF       = 0x04 // VEOF, ctrl-d
)

var inputBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyInput copies the client's input to the program until either ends. The end
// of the client's input closes the program's: without a terminal by closing the
// stream's sending half, with one by the character for it, since engines end
// both directions when a terminal's stream is half closed.
func copyInput(stream *engine.Stream, stdin io.Reader, terminal *backend.Terminal, log *slog.Logger) {
	buf := inputBuffers.Get().(*[32 << 10]byte)
	defer inputBuffers.Put(buf)
	atLineStart := true
	for {
		n, err := stdin.Read(buf[:])
		if n > 0 {
			atLineStart = buf[n-1] == '\n' || buf[n-1] == '\r'
			if _, err := stream.Write(buf[:n]); err != nil {
				// A program may end, or close its input, before it has read all.
				log.Debug("the program takes no more input", "error", err, "code", EFailedInputStream)
				return
			}
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			return // the channel has been closed; that ends the program
		case terminal == nil:
			if err := stream.CloseWrite(); err != nil {
				log.Debug("the program's input could not be closed", "error", err, "code", EFailedInputCloseWriting)
			}
		default:
			eof := []byte{charEOF}
			if !atLineStart {
				eof = []byte{charEOF, charEOF} // the first one only ends the line
			}
			if _, err := stream.Write(eof); err != nil {
				log.Debug("the program's input could not be ended", "error", err, "code", EFailedInputCloseWriting)
			}
		}
		return
	}
}

// writeBreak interrupts what runs in the foreground of a terminal.
func writeBreak(stream *engine.Stream, terminal *backend.Terminal) error {
	if terminal == nil {
		return errors.New("a break needs a terminal")
	}
	_, err := stream.Write([]byte{charInterrupt})
	return err
}

// maxPID is the highest process id of Linux.
const maxPID = 1 << 22

// failures begin what is found in a program's output when there is no program:
// the engine's own word, and those of the engines' init programs.
var failures = [][]byte{[]byte("OCI runtime exec failed"), []byte("[FATAL tini ("), []byte("ERROR (catatonit:")}

// maxFailure is how long such words may be: what is longer is a program's.
const maxFailure = 4096

// firstOutput is a program's standard output. It looks at its beginning, where
// the agent puts the process id, and where engines put their failures.
type firstOutput struct {
	next     io.Writer
	terminal bool // output has come through a terminal: LF has become CR LF
	agent    bool // the process id comes first

	// begun is closed when the beginning has been seen, or there is none. The
	// fields from id on are set before; they are only used by one goroutine
	// until then.
	begun chan struct{}
	id    int    // the agent's process id; 0 if it has given none
	head  []byte // of an agent's output, until the process id is complete

	failed bool   // what comes is somebody's word on a failure
	said   []byte // that word
}

// newFirstOutput makes one; end must be called after the last Write.
func newFirstOutput(next io.Writer, terminal, agent bool) *firstOutput {
	return &firstOutput{next: next, terminal: terminal, agent: agent, begun: make(chan struct{})}
}

func (f *firstOutput) hasBegun() bool {
	select {
	case <-f.begun:
		return true
	default:
		return false
	}
}

// end is called after the last Write.
func (f *firstOutput) end() {
	if !f.hasBegun() {
		f.failed, f.said = len(f.head) > 0, f.head
		close(f.begun)
	}
}

func (f *firstOutput) Write(p []byte) (int, error) {
	all := len(p)
	if !f.hasBegun() {
		if f.agent {
			p = f.readPID(p)
		} else {
			f.failed = slices.ContainsFunc(failures, func(word []byte) bool { return bytes.HasPrefix(p, word) })
			close(f.begun)
		}
	}
	if f.failed {
		f.said = append(f.said, p...)
		if len(f.said) <= maxFailure {
			return all, nil
		}
		f.failed, p = false, f.said
	}
	if len(p) > 0 {
		if _, err := f.next.Write(p); err != nil {
			return 0, err
		}
	}
	return all, nil
}

// readPID takes the process id off the beginning: four bytes, little endian,
// and returns what follows.
func (f *firstOutput) readPID(p []byte) []byte {
	for i, b := range p {
		if n := len(f.head); f.terminal && b == '\n' && n > 0 && f.head[n-1] == '\r' {
			f.head[n-1] = b // the terminal has put the CR there
		} else {
			f.head = append(f.head, b)
		}
		if len(f.head) < 4 || f.head[3] == '\r' {
			continue
		}
		id := binary.LittleEndian.Uint32(f.head)
		if id == 0 || id > maxPID {
			// Not the agent: words about why there is none.
			f.failed, f.said = true, f.head
		} else {
			f.id = int(id)
		}
		close(f.begun)
		return p[i+1:]
	}
	return nil
}

// waitPID returns the process id in the container.
func (f *firstOutput) waitPID(ctx context.Context) (int, error) {
	select {
	case <-f.begun:
		if f.id == 0 {
			return 0, errors.New("the guest agent has not given one")
		}
		return f.id, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// verdict is asked after end, with the program's exit code, whether there was a
// program at all. s is the step that has failed if not.
func (f *firstOutput) verdict(s step, code int) error {
	switch {
	case f.agent && f.id == 0:
		return &backend.Error{Code: EFailedPIDRead, User: s.user + " The image has no working guest agent.",
			Message: "the guest agent could not be run; set execution.agentPath to its place in the image, or execution.agent to none",
			Err:     fmt.Errorf("exit code %d: %q", code, f.said)}
	case !f.failed:
		return nil
	case code == 126 || code == 127:
		return notStarted(s, errors.New(strings.TrimSpace(string(f.said))))
	}
	// A program that talks like an engine.
	_, err := f.next.Write(f.said)
	return err
}

// limited keeps the first bytes of what is written to it.
type limited struct {
	max  int
	text []byte
}

func (l *limited) Write(p []byte) (int, error) {
	if room := l.max - len(l.text); room > 0 {
		l.text = append(l.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// exitStatus makes an exit status of an engine's exit code. Engines report a
// program that was killed with 128 and the signal's number, and so do shells
// for their children: only a signal that was sent by this very session is taken
// for the program's end. One that survives it and exits with that very code can't
// be told from that.
func exitStatus(code int, sent []string) sshserver.ExitStatus {
	for _, name := range sent {
		if code == 128+signalNumbers[name] {
			return sshserver.ExitStatus{Code: uint32(code), Signal: name}
		}
	}
	return sshserver.ExitStatus{Code: uint32(code)}
}

// signalNumbers are Linux' numbers of the signals of RFC 4254.
var signalNumbers = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
	"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}
