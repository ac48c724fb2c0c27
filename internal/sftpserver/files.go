//go:build linux

package sftpserver

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// How a file is to be opened (section 6.3 of the draft).
const (
	forRead   = 0x01
	forWrite  = 0x02
	forAppend = 0x04
	create    = 0x08
	truncate  = 0x10
	exclusive = 0x20
)

func (s *server) open(id uint32, r *request) error {
	path, how, attributes := r.string(), r.uint32(), r.attributes()
	flags := os.O_RDONLY
	switch how & (forRead | forWrite) {
	case forWrite:
		flags = os.O_WRONLY
	case forRead | forWrite:
		flags = os.O_RDWR
	}
	for _, f := range []struct {
		how   uint32
		flags int
	}{{forAppend, os.O_APPEND}, {create, os.O_CREATE}, {truncate, os.O_TRUNC}, {exclusive, os.O_EXCL}} {
		if how&f.how != 0 {
			flags |= f.flags
		}
	}
	if flags&^os.O_APPEND != os.O_RDONLY {
		if err := s.writable(r); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, flags, fileMode(attributes.permissionsOr(0o666)))
	if err != nil {
		return err
	}
	return s.opened(id, &handle{file: f, path: path, append: how&forAppend != 0})
}

// fileMode is a mode of the system's in Go's form.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode).Perm()
	for _, special := range []struct {
		bit  uint32
		mode fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if mode&special.bit != 0 {
			m |= special.mode
		}
	}
	return m
}

func (s *server) close(r *request) error {
	name := r.string()
	h, ok := s.handles[name]
	if !ok {
		return codeNoSuchFile
	}
	delete(s.handles, name)
	return h.file.Close()
}

func (s *server) read(id uint32, r *request) error {
	h, err := s.handle(r, false)
	offset, length := r.uint64(), r.uint32()
	if err != nil {
		return err
	}
	s.answer.begin(typeData, id)
	start := len(s.answer) + 4
	s.answer.uint32(0)
	wanted := int(min(length, maxData))
	if free := cap(s.answer) - start; free < wanted {
		s.answer = append(make(answer, 0, start+wanted), s.answer...)
	}
	data := s.answer[start : start+wanted]
	n, err := h.file.ReadAt(data, int64(offset))
	switch {
	case n > 0 || wanted == 0: // the rest, or the error, comes with the next request
	case err == nil || errors.Is(err, io.EOF):
		return codeEOF
	default:
		return err
	}
	s.answer = s.answer[:start-4]
	s.answer.uint32(uint32(n))
	s.answer = s.answer[:start+n]
	return nil
}

func (s *server) write(r *request) error {
	h, err := s.handle(r, false)
	offset, data := r.uint64(), r.bytes()
	if unwritable := s.writable(r); unwritable != nil {
		return unwritable
	}
	switch {
	case err != nil:
		return err
	case h.append: // where the end is now, whatever the client believes
		_, err = h.file.Write(data)
	default:
		_, err = h.file.WriteAt(data, int64(offset))
	}
	return err
}

func (s *server) stat(packetType byte, id uint32, r *request) error {
	var st unix.Stat_t
	var err error
	switch packetType {
	case typeStat:
		err = stat(r.string(), &st)
	case typeLstat:
		err = lstat(r.string(), &st)
	default:
		var h *handle
		if h, err = s.handle(r, false); err == nil {
			err = unix.Fstat(int(h.file.Fd()), &st)
		}
	}
	if err != nil {
		return err
	}
	s.answer.begin(typeAttrs, id)
	s.answer.attributes(&st)
	return nil
}

// stat and lstat are what they are in the system, but for interruptions, which
// the runtime causes, and file systems in user space pass on.
func stat(path string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Stat(path, st) })
}

func lstat(path string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Lstat(path, st) })
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// change sets attributes of a file that is named.
func (s *server) change(r *request) error {
	path, a := r.string(), r.attributes()
	if err := s.writable(r); err != nil {
		return err
	}
	return a.set(
		func() error { return unix.Truncate(path, int64(a.size)) },
		func() error { return unix.Chmod(path, a.mode&permissions) },
		func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, a.times(), 0) },
		func() error { return unix.Chown(path, int(a.uid), int(a.gid)) },
	)
}

// changeOpen sets attributes of a file that is open, whatever its name is now.
func (s *server) changeOpen(r *request) error {
	h, err := s.handle(r, false)
	a := r.attributes()
	if unwritable := s.writable(r); unwritable != nil {
		return unwritable
	}
	if err != nil {
		return err
	}
	fd := int(h.file.Fd())
	return a.set(
		func() error { return unix.Ftruncate(fd, int64(a.size)) },
		func() error { return unix.Fchmod(fd, a.mode&permissions) },
		func() error {
			return unix.Futimes(fd, []unix.Timeval{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}})
		},
		func() error { return unix.Fchown(fd, int(a.uid), int(a.gid)) },
	)
}

// set does what of the four is wanted, in OpenSSH's order. A failure keeps the
// later ones from nothing: a client that may not change the owner still gets the
// times.
func (a attributes) set(size, mode, times, owner func() error) error {
	var errs []error
	for _, one := range []struct {
		has uint32
		do  func() error
	}{{hasSize, size}, {hasMode, mode}, {hasTimes, times}, {hasOwner, owner}} {
		if a.has&one.has != 0 {
			errs = append(errs, retry(one.do))
		}
	}
	return errors.Join(errs...)
}
