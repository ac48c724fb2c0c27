//go:build linux

package sftpserver

import (
	"errors"
	"io"
	"math"
	"os/user"
	"strings"

	"golang.org/x/sys/unix"
)

// extension is a request beyond the draft.
type extension struct {
	name, version string
	do            func(s *server, id uint32, r *request) error
	changes       bool // something, so that a read-only server hasn't got it
}

// extensions are OpenSSH's, by their descriptions in its PROTOCOL file, section
// 4, and in the drafts named there. Each answers by itself; an error is answered
// for it.
var extensions = []extension{
	{"posix-rename@openssh.com", "1", (*server).posixRename, true},
	{"statvfs@openssh.com", "2", (*server).statvfs, false},
	{"fstatvfs@openssh.com", "2", (*server).fstatvfs, false},
	{"hardlink@openssh.com", "1", (*server).hardlink, true},
	{"fsync@openssh.com", "1", (*server).fsync, true},
	{"lsetstat@openssh.com", "1", (*server).lsetstat, true},
	{"limits@openssh.com", "1", (*server).limits, false},
	{"expand-path@openssh.com", "1", (*server).expandPath, false},
	{"copy-data", "1", (*server).copyData, true},
	{"home-directory", "1", (*server).homeDirectory, false},
	{"users-groups-by-id@openssh.com", "1", (*server).usersGroupsByID, false},
}

func (s *server) extended(id uint32, r *request) error {
	name := r.string()
	for _, e := range extensions {
		if e.name == name {
			if e.changes && s.readOnly {
				return codePermissionDenied
			}
			return e.do(s, id, r)
		}
	}
	return codeUnsupported
}

// done answers for what is a success or not, and has nothing more to say.
func (s *server) done(id uint32, err error) error {
	s.status(id, err)
	return nil
}

func (s *server) posixRename(id uint32, r *request) error {
	from, to := r.string(), r.string()
	if err := s.writable(r); err != nil {
		return err
	}
	return s.done(id, retry(func() error { return unix.Rename(from, to) }))
}

func (s *server) hardlink(id uint32, r *request) error {
	from, to := r.string(), r.string()
	if err := s.writable(r); err != nil {
		return err
	}
	return s.done(id, retry(func() error { return unix.Link(from, to) }))
}

func (s *server) fsync(id uint32, r *request) error {
	h, err := s.handle(r, false)
	if err != nil {
		return err
	}
	return s.done(id, h.file.Sync())
}

// lsetstat sets attributes of a link itself.
func (s *server) lsetstat(id uint32, r *request) error {
	path, a := r.string(), r.attributes()
	if err := s.writable(r); err != nil {
		return err
	}
	return s.done(id, a.set(
		func() error { return codeBadMessage }, // a link has no size to be set
		func() error {
			return unix.Fchmodat(unix.AT_FDCWD, path, a.mode&permissions, unix.AT_SYMLINK_NOFOLLOW)
		},
		func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, path, a.times(), unix.AT_SYMLINK_NOFOLLOW)
		},
		func() error { return unix.Lchown(path, int(a.uid), int(a.gid)) },
	))
}

func (s *server) statvfs(id uint32, r *request) error {
	path := r.string()
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return err
	}
	return s.fileSystem(id, &st)
}

func (s *server) fstatvfs(id uint32, r *request) error {
	h, err := s.handle(r, false)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(h.file.Fd()), &st) }); err != nil {
		return err
	}
	return s.fileSystem(id, &st)
}

func (s *server) fileSystem(id uint32, st *unix.Statfs_t) error {
	const readOnly, noSetuid = 1, 2 // of the extension
	flags := uint64(0)
	if st.Flags&unix.ST_RDONLY != 0 {
		flags |= readOnly
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		flags |= noSetuid
	}
	s.answer.begin(typeExtendedReply, id)
	for _, n := range []uint64{
		uint64(st.Bsize), uint64(st.Frsize), st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree, st.Ffree,
		uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32, flags, uint64(st.Namelen),
	} {
		s.answer.uint64(n)
	}
	return nil
}

// limits tells how much a client may put into a request, and how many handles it
// may have.
func (s *server) limits(id uint32, r *request) error {
	handles := uint64(0) // it is not known
	var files unix.Rlimit
	const own = 5 // standard streams, and what the runtime has open
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil && files.Cur > own {
		handles = min(files.Cur-own, math.MaxInt32)
	}
	s.answer.begin(typeExtendedReply, id)
	for _, n := range []uint64{maxPacket, maxData, maxData, handles} {
		s.answer.uint64(n)
	}
	return nil
}

// expandPath is realpath for paths that may begin with ~, which is where the
// session begins, or ~user.
func (s *server) expandPath(id uint32, r *request) error {
	path := r.string()
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		home := "."
		if name != "" {
			var err error
			if home, err = homeOf(name); err != nil {
				return codeNoSuchFile
			}
		}
		path = home + "/" + rest
	}
	path, err := realPath(path)
	if err != nil {
		return err
	}
	return s.name(id, path)
}

func (s *server) homeDirectory(id uint32, r *request) error {
	home, err := homeOf(r.string())
	if err == nil {
		home, err = realPath(home)
	}
	if err != nil {
		return err
	}
	return s.name(id, home)
}

// errNoUser is about somebody who is not in /etc/passwd.
var errNoUser = errors.New("no such user")

func homeOf(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", errNoUser
	}
	return u.HomeDir, nil
}

// copyData copies from one open file to another (draft-ietf-secsh-filexfer-
// extensions-00, section 7).
func (s *server) copyData(id uint32, r *request) error {
	from, err := s.handle(r, false)
	fromOffset, length := r.uint64(), r.uint64()
	to, err2 := s.handle(r, false)
	toOffset := r.uint64()
	if err := errors.Join(err, err2, s.writable(r)); err != nil {
		return err
	}
	if from == to || from.path == to.path {
		return codeFailure // as OpenSSH's: it can't end well
	}
	if length == 0 || length > math.MaxInt64 {
		length = math.MaxInt64 // to the end
	}
	var target io.Writer = to.file
	if !to.append {
		target = io.NewOffsetWriter(to.file, int64(toOffset))
	}
	// ReadAt and WriteAt, so that the offsets of the handles don't matter.
	_, err = io.Copy(target, struct{ io.Reader }{io.NewSectionReader(from.file, int64(fromOffset), int64(length))})
	return s.done(id, err)
}

// usersGroupsByID finds the names of lists of users and groups.
func (s *server) usersGroupsByID(id uint32, r *request) error {
	users, groups := request{rest: r.bytes()}, request{rest: r.bytes()}
	s.answer.begin(typeExtendedReply, id)
	for _, list := range []struct {
		ids  *request
		name func(uint32) string
	}{{&users, s.names.user}, {&groups, s.names.group}} {
		var names answer
		for len(list.ids.rest) > 0 {
			names.string(list.name(list.ids.uint32()))
		}
		s.answer.string(string(names))
	}
	if users.bad || groups.bad || len(s.answer) > maxPacket {
		return codeBadMessage
	}
	return nil
}
