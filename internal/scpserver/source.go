//go:build linux

package scpserver

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// source gives files.
func (t *transfer) source(paths []string) error {
	if _, err := t.answer(); err != nil { // the client is ready
		return err
	}
	for _, path := range paths {
		if err := t.give(path); err != nil {
			return err
		}
	}
	return nil
}

// give gives a file, or a directory and what is in it.
func (t *transfer) give(path string) error {
	// Not held up by what is no file; that comes to light below.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return t.fail(path, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return t.fail(path, err)
	}
	name := filepath.Base(path)
	if name == "." || name == ".." || name == "/" {
		// The client wants a name that stays in its directory.
		if whole, err := filepath.Abs(path); err == nil && whole != "/" {
			name = filepath.Base(whole)
		}
	}
	if strings.ContainsRune(name, '\n') {
		return t.fail(path, errors.New("the protocol has no way to say this name; use SFTP"))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return t.giveFile(f, path, name, &st)
	case unix.S_IFDIR:
		if t.recursive {
			return t.giveDirectory(f, path, name, &st)
		}
	}
	return t.fail(path, errors.New("not a regular file"))
}

// announce says what comes. ok is false if the client does not want it.
func (t *transfer) announce(kind byte, size int64, name string, st *unix.Stat_t) (ok bool, err error) {
	if t.preserve {
		if err := t.say("T%d 0 %d 0\n", max(st.Mtim.Sec, 0), max(st.Atim.Sec, 0)); err != nil {
			return false, err
		}
		if ok, err := t.answer(); err != nil || !ok {
			return false, err
		}
	}
	if err := t.say("%c%04o %d %s\n", kind, st.Mode&0o7777, size, name); err != nil {
		return false, err
	}
	return t.answer()
}

func (t *transfer) giveFile(f *os.File, path, name string, st *unix.Stat_t) error {
	if ok, err := t.announce('C', st.Size, name, st); err != nil || !ok {
		return err
	}
	n, failure := io.Copy(t.out, io.LimitReader(f, st.Size))
	if n < st.Size {
		if failure == nil {
			failure = errors.New("the file has become shorter")
		}
		// The client counts on as many bytes as were announced.
		if _, err := io.CopyN(t.out, zeros{}, st.Size-n); err != nil {
			return err
		}
	}
	end := t.ok
	if failure != nil {
		end = func() error { return t.fail(path, failure) }
	}
	if err := end(); err != nil {
		return err
	}
	_, err := t.answer()
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func (t *transfer) giveDirectory(f *os.File, path, name string, st *unix.Stat_t) error {
	list, err := f.Readdirnames(-1)
	if err != nil {
		return t.fail(path, err)
	}
	if ok, err := t.announce('D', 0, name, st); err != nil || !ok {
		return err
	}
	for _, entry := range list {
		if err := t.give(filepath.Join(path, entry)); err != nil {
			return err
		}
	}
	if err := t.say("E\n"); err != nil {
		return err
	}
	_, err = t.answer()
	return err
}
