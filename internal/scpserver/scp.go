//go:build linux

package scpserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// transfer is one run of scp at this end.
type transfer struct {
	in  *bufio.Reader
	out *bufio.Writer
	log io.Writer

	recursive, preserve, toDirectory bool
	failed                           bool // something, which was said
}

// errEnd ends the transfer: the client has gone, or has said that it gives up.
var errEnd = errors.New("the transfer has ended")

// Run does what the client's "scp ARGS" asks for, over in and out, with the
// rights and from the working directory of the process, and returns the exit
// code. What goes wrong is told to the client, and what the client tells to log.
func Run(args []string, in io.Reader, out, log io.Writer) int {
	t := &transfer{in: bufio.NewReaderSize(in, 64<<10), out: bufio.NewWriterSize(out, 64<<10), log: log}
	var sink, source bool
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		for _, letter := range arg[1:] {
			switch letter {
			case 't':
				sink = true
			case 'f':
				source = true
			case 'r':
				t.recursive = true
			case 'p':
				t.preserve = true
			case 'd':
				t.toDirectory = true
			case 'v', 'q': // verbosity is the client's own
			default:
				fmt.Fprintf(log, "scp: unknown option -%c\n", letter)
				return 1
			}
		}
	}
	if sink == source || len(args) == 0 || sink && len(args) > 1 {
		fmt.Fprintln(log, "scp: this is the other end of a client's scp, run with -t DIRECTORY or -f FILE...; it copies nothing by itself")
		return 1
	}
	var err error
	if sink {
		err = t.sink(args[0])
	} else {
		err = t.source(args)
	}
	if flushed := t.out.Flush(); err != nil || flushed != nil || t.failed {
		return 1
	}
	return 0
}

// fail tells the client that something could not be done, which does not end
// the transfer.
func (t *transfer) fail(path string, err error) error {
	t.failed = true
	return t.say("\x01scp: %s: %s\n", strings.ReplaceAll(path, "\n", "?"), reason(err))
}

// reason is an error in the system's words, without a path.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return err.Error()
}

func (t *transfer) say(format string, args ...any) error {
	_, err := fmt.Fprintf(t.out, format, args...)
	return err
}

// ok answers that all is well.
func (t *transfer) ok() error { return t.say("\x00") }

// answer takes the client's answer to what was said. ok is false if that could
// not be done.
func (t *transfer) answer() (ok bool, err error) {
	if err := t.out.Flush(); err != nil {
		return false, err
	}
	b, err := t.in.ReadByte()
	if err != nil {
		return false, unexpected(err)
	}
	switch b {
	case 0:
		return true, nil
	case 1, 2:
		line, err := t.line()
		fmt.Fprintln(t.log, line)
		t.failed = true
		if b == 2 && err == nil {
			err = errEnd
		}
		return false, err
	}
	return false, fmt.Errorf("%w: an answer of %q", errEnd, b)
}

// maxLine is the longest message: a name and some numbers.
const maxLine = 8 << 10

// line takes a message; io.EOF if there are no more.
func (t *transfer) line() (string, error) {
	var line strings.Builder
	for {
		b, err := t.in.ReadByte()
		if err != nil && line.Len() > 0 {
			return "", unexpected(err)
		}
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return line.String(), nil
		}
		if line.Len() == maxLine {
			return "", fmt.Errorf("%w: a message without end", errEnd)
		}
		line.WriteByte(b)
	}
}

// unexpected makes an end of the input a failure.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// closing closes a file that was written, when an error of that counts.
func closing(f *os.File, err error) error { return errors.Join(err, f.Close()) }
