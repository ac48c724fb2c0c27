//go:build linux

package sftpserver

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// perAnswer is how many entries of a directory go into one answer, as with
// OpenSSH's server. With the longest names that there are it is below maxPacket.
const perAnswer = 100

func (s *server) openDirectory(id uint32, r *request) error {
	path := r.string()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return s.opened(id, &handle{file: f, path: path, entries: true})
}

func (s *server) readDirectory(id uint32, r *request) error {
	h, err := s.handle(r, true)
	if err != nil {
		return err
	}
	s.answer.begin(typeName, id)
	countAt := len(s.answer)
	s.answer.uint32(0)
	count := uint32(0)
	add := func(name string) {
		var st unix.Stat_t
		if retry(func() error { return unix.Fstatat(int(h.file.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) }) != nil {
			return // removed meanwhile, or not to be seen
		}
		s.answer.string(name)
		s.answer.string(s.names.line(name, &st))
		s.answer.attributes(&st)
		count++
	}
	if !h.begun {
		h.begun = true
		add(".")
		add("..")
	}
	for count < perAnswer {
		list, err := h.file.Readdirnames(perAnswer - int(count))
		for _, name := range list {
			add(name)
		}
		if err != nil {
			if count == 0 && !errors.Is(err, io.EOF) {
				return err
			}
			break
		}
	}
	if count == 0 {
		return codeEOF
	}
	answer := s.answer[:countAt]
	answer.uint32(count)
	return nil
}

// entry changes an entry of a directory.
func (s *server) entry(packetType byte, r *request) error {
	path := r.string()
	other := ""
	if packetType == typeRename || packetType == typeSymlink {
		other = r.string()
	}
	var a attributes
	if packetType == typeMkdir {
		a = r.attributes()
	}
	if err := s.writable(r); err != nil {
		return err
	}
	return retry(func() error {
		switch packetType {
		case typeRemove:
			return unix.Unlink(path)
		case typeRmdir:
			return unix.Rmdir(path)
		case typeMkdir:
			return unix.Mkdir(path, a.permissionsOr(0o777))
		case typeSymlink:
			// The link's target comes first, unlike in the draft: so has it
			// been with OpenSSH, and with its clients, since 2001.
			return unix.Symlink(path, other)
		default:
			return rename(path, other)
		}
	})
}

// rename never takes the place of another file.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// The file system knows no such call.
	var st unix.Stat_t
	if lstat(to, &st) == nil {
		return unix.EEXIST
	}
	return unix.Rename(from, to)
}

// path answers with a path.
func (s *server) path(packetType byte, id uint32, r *request) error {
	path := r.string()
	var err error
	if packetType == typeReadlink {
		path, err = os.Readlink(path)
	} else {
		path, err = realPath(path)
	}
	if err != nil {
		return err
	}
	return s.name(id, path)
}

// maxLinks is how many links a path may lead through (path_resolution(7)).
const maxLinks = 40

// realPath resolves links and dots; what a path leads to need not be there, but
// the directory must.
func realPath(path string) (string, error) {
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = wd + "/" + path
	}
	for range maxLinks {
		real, err := evalLinks(path)
		if !errors.Is(err, unix.ENOENT) {
			return real, err
		}
		path = strings.TrimRight(path, "/")
		dir, last := filepath.Split(path)
		if dir, err = evalLinks(dir); err != nil {
			return "", err
		}
		if last == "." || last == ".." {
			return "", unix.ENOENT
		}
		path = filepath.Join(dir, last)
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if path = link; !filepath.IsAbs(path) {
			path = dir + "/" + path
		}
	}
	return "", unix.ELOOP
}

// evalLinks is filepath.EvalSymlinks with the system's error for a loop.
func evalLinks(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		var st unix.Stat_t
		if system := stat(path, &st); system != nil {
			err = system
		}
	}
	return real, err
}
