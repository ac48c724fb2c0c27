//go:build linux

package scpserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sink takes files to target.
func (t *transfer) sink(target string) error {
	if t.toDirectory && !isDirectory(target) {
		err := error(unix.ENOTDIR)
		if _, missing := os.Stat(target); missing != nil {
			err = missing
		}
		return errors.Join(t.fail(target, err), errEnd)
	}
	return t.take(target, false)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// times are those of the next file.
type times struct{ atime, mtime time.Time }

// take takes what comes for target until the end, of the directory or of all.
func (t *transfer) take(target string, within bool) error {
	var next *times
	if err := t.ok(); err != nil {
		return err
	}
	for {
		if err := t.out.Flush(); err != nil {
			return err
		}
		line, err := t.line()
		if errors.Is(err, io.EOF) && !within {
			return nil // the client is done
		}
		if err != nil {
			return unexpected(err)
		}
		kind, rest := byte(0), ""
		if line != "" {
			kind, rest = line[0], line[1:]
		}
		switch {
		case kind == 1: // the client could not send something
			fmt.Fprintln(t.log, rest)
			t.failed = true
		case kind == 'E' && within:
			return t.ok()
		case kind == 'T':
			if next, err = parseTimes(rest); err != nil {
				return t.giveUp(err)
			}
			err = t.ok()
		case kind == 'C' || kind == 'D' && t.recursive:
			mode, size, name, bad := parseEntry(rest)
			if bad != nil {
				return t.giveUp(bad)
			}
			path := target
			if within || isDirectory(target) {
				path = filepath.Join(target, name)
			}
			if kind == 'D' {
				err = t.takeDirectory(path, mode, next)
			} else {
				err = t.takeFile(path, mode, size, next)
			}
			next = nil
		default:
			return t.giveUp(fmt.Errorf("unexpected message %q", line))
		}
		if err != nil {
			return err
		}
	}
}

// giveUp ends the transfer with a client that does not keep to the protocol.
func (t *transfer) giveUp(err error) error {
	return errors.Join(t.say("\x02scp: %v\n", err), fmt.Errorf("%w: %w", errEnd, err))
}

func parseTimes(text string) (*times, error) {
	var mtime, mmicros, atime, amicros int64
	if n, err := fmt.Sscanf(text, "%d %d %d %d", &mtime, &mmicros, &atime, &amicros); n != 4 || err != nil {
		return nil, fmt.Errorf("these are no times: %q", text)
	}
	return &times{atime: time.Unix(atime, amicros*1000), mtime: time.Unix(mtime, mmicros*1000)}, nil
}

// parseEntry takes "0644 123 name" apart.
func parseEntry(text string) (mode uint32, size int64, name string, err error) {
	fields := strings.SplitN(text, " ", 3)
	if len(fields) != 3 {
		return 0, 0, "", fmt.Errorf("this is no file: %q", text)
	}
	m, err1 := strconv.ParseUint(fields[0], 8, 16)
	size, err2 := strconv.ParseInt(fields[1], 10, 64)
	name = fields[2]
	if err1 != nil || err2 != nil || m > 0o7777 || size < 0 {
		return 0, 0, "", fmt.Errorf("this is no file: %q", text)
	}
	// It must stay in its directory.
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return 0, 0, "", fmt.Errorf("unexpected name %q", name)
	}
	return uint32(m), size, name, nil
}

func (t *transfer) takeDirectory(path string, mode uint32, set *times) error {
	made := false
	err := unix.Mkdir(path, mode|0o700) // to be written to until it is complete
	switch {
	case err == nil:
		made = true
	case !isDirectory(path):
		if errors.Is(err, unix.EEXIST) {
			err = unix.ENOTDIR
		}
		return t.fail(path, err) // the client leaves it out
	}
	if err := t.take(path, true); err != nil {
		return err
	}
	var errs []error
	switch {
	case t.preserve:
		errs = append(errs, unix.Chmod(path, mode))
	case made && mode&0o700 != 0o700:
		errs = append(errs, unix.Chmod(path, mode&^umask()))
	}
	if set != nil {
		errs = append(errs, os.Chtimes(path, set.atime, set.mtime))
	}
	if err := errors.Join(errs...); err != nil {
		t.failed = true
		fmt.Fprintf(t.log, "scp: %s: %s\n", path, reason(err))
	}
	return nil
}

// umask is the process's, which can be read only by setting it; nothing else
// makes files meanwhile.
func umask() uint32 {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return uint32(mask)
}

func (t *transfer) takeFile(path string, mode uint32, size int64, set *times) error {
	// Not truncated yet: a copy of the file onto itself would lose all.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, mode)
	if err != nil {
		return t.fail(path, err) // the client sends no bytes then
	}
	f := os.NewFile(uintptr(fd), path)
	if err := t.ok(); err != nil {
		return closing(f, err)
	}
	if err := t.out.Flush(); err != nil {
		return closing(f, err)
	}
	bytes := io.LimitReader(t.in, size)
	_, failure := io.Copy(f, bytes)
	// What could not be written is to be read all the same.
	if _, err := io.Copy(io.Discard, bytes); err != nil {
		return closing(f, err)
	}
	if info, err := f.Stat(); failure == nil && err == nil && info.Mode().IsRegular() && info.Size() > size {
		failure = f.Truncate(size)
	}
	if failure == nil && t.preserve {
		failure = unix.Fchmod(fd, mode)
	}
	failure = closing(f, failure)
	if failure == nil && set != nil {
		failure = os.Chtimes(path, set.atime, set.mtime)
	}
	// The client says whether these were all of the bytes.
	if _, err := t.answer(); err != nil {
		return err
	}
	if failure != nil {
		return t.fail(path, failure)
	}
	return t.ok()
}
