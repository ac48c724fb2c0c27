//go:build linux

package guestcmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// call is one run of a command.
type call struct {
	name string
	opts options
	args []string // the operands
	in   *os.File
	out  *output
	// failed is set by fail and decides about the exit code at the end.
	failed bool
}

// output buffers what a command prints. On a terminal it is flushed line by
// line; elsewhere when it is full and at the end.
type output struct {
	*bufio.Writer
	terminal bool
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.terminal && err == nil && strings.IndexByte(string(p), '\n') >= 0 {
		err = o.Flush()
	}
	return n, err
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }
func (c *call) println(args ...any)               { fmt.Fprintln(c.out, args...) }

// fail reports an error and lets the command go on; its exit code will be 1.
func (c *call) fail(format string, args ...any) {
	c.out.Flush() // what came before stays before
	c.failed = true
	fmt.Fprintf(os.Stderr, "%s: %s\n", c.name, fmt.Sprintf(format, args...))
}

// failFile reports what could not be done to a file.
func (c *call) failFile(path string, err error) { c.fail("%s: %s", path, reason(err)) }

// die reports an error and gives the exit code that ends the command.
func (c *call) die(format string, args ...any) int {
	c.fail(format, args...)
	return 1
}

// code is the exit code after what has happened.
func (c *call) code() int {
	if c.failed {
		return 1
	}
	return 0
}

// open opens an operand for reading; "-" is standard input.
func (c *call) open(path string) (*os.File, error) {
	if path == "-" {
		return c.in, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, &fs.PathError{Op: "read", Path: path, Err: unix.EISDIR}
	}
	return f, nil
}

// eachInput calls do with each operand opened, or with standard input when
// there is none. What can't be opened or read is reported and skipped.
func (c *call) eachInput(do func(name string, r *os.File) error) {
	names := c.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		f, err := c.open(name)
		if err == nil {
			err = do(name, f)
			if f != c.in {
				f.Close()
			}
		}
		if err != nil {
			c.failFile(name, err)
		}
	}
}

// eachLine calls do with each line of r, with its newline if it has one.
// Lines have no limit. do returns false to stop.
func eachLine(r io.Reader, delimiter byte, do func(line []byte) bool) error {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := b.ReadBytes(delimiter)
		if len(line) > 0 && !do(line) {
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reason is the system's word for what went wrong, with a capital as the C
// library has it, and without the path that callers print themselves.
func reason(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	case errors.As(err, &call):
		err = call.Err
	}
	s := err.Error()
	if errors.As(err, new(unix.Errno)) && s != "" {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
