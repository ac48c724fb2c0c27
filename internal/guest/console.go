//go:build linux

package guest

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaultPath is where programs are looked for when the environment has no
// PATH at all: the usual places of a Linux system.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// sizeTimeout bounds the wait for the size of a terminal that has none yet.
const sizeTimeout = time.Second

// console becomes a program. The order is the seed's and servers rely on it:
// the start byte, the process id, the program.
func console(args []string) int {
	flags := flag.NewFlagSet("console", flag.ContinueOnError)
	env := os.Environ()
	flags.Func("env", "", func(kv string) error {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.ContainsRune(kv, 0) {
			return fmt.Errorf("%q is not NAME=VALUE", kv)
		}
		env = setenv(env, name, kv)
		return nil
	})
	wait := flags.Bool("wait", false, "")
	pid := flags.Bool("pid", false, "")
	if code, done := parse(flags, args); done {
		return code
	}
	if flags.NArg() == 0 {
		complain("console: no program given; it comes after --")
		return exitUsage
	}
	if *wait {
		if err := awaitStart(int(os.Stdin.Fd())); err != nil {
			complain("console: waiting for the start byte: %v", err)
			return exitFailure
		}
	}
	if *pid {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], uint32(os.Getpid()))
		if _, err := os.Stdout.Write(b[:]); err != nil {
			complain("console: writing the process id: %v", err)
			return exitFailure
		}
	}
	awaitSize(int(os.Stdin.Fd()), sizeTimeout)
	return become(flags.Args(), env)
}

// setenv replaces a variable in env, or adds it. A name that env has twice
// is left there once.
func setenv(env []string, name, kv string) []string {
	kept := env[:0:0]
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	return append(kept, kv)
}

// awaitStart reads one byte, NUL or a newline, and nothing beyond it: what
// follows belongs to the program. A terminal would hold a NUL back until the
// end of the line and would echo it, so both are off meanwhile.
func awaitStart(fd int) error {
	if saved, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		quiet := *saved
		quiet.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON
		quiet.Cc[unix.VMIN], quiet.Cc[unix.VTIME] = 1, 0
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err == nil {
			defer unix.IoctlSetTermios(fd, unix.TCSETS, saved)
		}
	}
	var b [1]byte
	for {
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			// Standard input may have been left non-blocking by another process.
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case err != nil:
			return err
		case n == 0:
			return errors.New("standard input ended before it came")
		case b[0] == 0 || b[0] == '\n':
			return nil
		default:
			return fmt.Errorf("got %q instead of NUL or a newline", b[0])
		}
	}
}

// awaitSize waits until a terminal has a size, so that a program that asks for
// it at once gets the right answer. The server sets it right after the start:
// an engine can't set it earlier (before API 1.42, hazard 8). Anything but a
// terminal of size 0×0 is not waited for.
func awaitSize(fd int, timeout time.Duration) {
	sized := func() bool {
		ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		return err != nil || ws.Row != 0 || ws.Col != 0
	}
	if sized() {
		return
	}
	// SIGWINCH goes to the foreground group only, which this process may not
	// be in; so there is a slow look now and then besides.
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	defer signal.Stop(changed)
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !sized() {
		select {
		case <-changed:
		case <-look.C:
		case <-deadline.C:
			return
		}
	}
}

// become replaces this process with a program; it returns only when that
// fails, with the exit code that a shell would give.
func become(argv, env []string) int {
	path, err := lookPath(argv[0], env)
	if err == nil {
		err = syscall.Exec(path, argv, env)
	}
	code, reason := startFailure(path, err)
	complain("%s: %s", argv[0], reason)
	return code
}

// lookPath finds a program as a shell does: names without a slash in PATH of
// env. A file that may not be executed is the answer when nothing better comes
// later, for the sake of the error message.
func lookPath(name string, env []string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, nil
	}
	if name == "" {
		return "", fs.ErrNotExist
	}
	path := defaultPath
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path = p
		}
	}
	forbidden := ""
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "." // an empty element means the current directory (POSIX, 8.3)
		}
		file := filepath.Join(dir, name)
		if dir == "." {
			file = "./" + name
		}
		info, err := os.Stat(file)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
		if forbidden == "" {
			forbidden = file
		}
	}
	if forbidden != "" {
		return forbidden, nil
	}
	return "", fs.ErrNotExist
}

// startFailure says in words why a program could not be started, and the exit
// code for it: 127 for one that isn't there, 126 for one that can't be run.
func startFailure(path string, err error) (code int, reason string) {
	switch {
	case path == "" || path != "" && !exists(path):
		return exitNotFound, "not found"
	case errors.Is(err, unix.ENOENT):
		// The file is there, so what's missing is what it asks for.
		return exitNotFound, "its interpreter or loader is not in this image"
	case isDir(path):
		return exitNotExecutable, "is a directory"
	case errors.Is(err, unix.EACCES):
		return exitNotExecutable, "permission denied"
	case errors.Is(err, unix.ENOEXEC):
		return exitNotExecutable, "not a program that this machine can run (another architecture, or a script without #!)"
	case errors.Is(err, unix.E2BIG):
		return exitNotExecutable, "the arguments and the environment are too long"
	default:
		return exitNotExecutable, err.Error()
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil || !(errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
