//go:build linux

package sftpserver

import (
	"fmt"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Which attributes there are (section 5 of the draft).
const (
	hasSize     = 0x00000001
	hasOwner    = 0x00000002
	hasMode     = 0x00000004
	hasTimes    = 0x00000008
	hasExtended = 0x80000000
)

// permissions are the bits of a mode that can be set.
const permissions = 0o7777

// attributes are those that a client wants to set.
type attributes struct {
	has          uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
}

func (r *request) attributes() attributes {
	a := attributes{has: r.uint32()}
	if a.has&hasSize != 0 {
		a.size = r.uint64()
	}
	if a.has&hasOwner != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.has&hasMode != 0 {
		a.mode = r.uint32()
	}
	if a.has&hasTimes != 0 {
		a.atime, a.mtime = r.uint32(), r.uint32()
	}
	if a.has&hasExtended != 0 {
		for range r.uint32() {
			r.bytes()
			r.bytes()
			if r.bad {
				break
			}
		}
	}
	return a
}

// permissionsOr gives the mode for something new.
func (a attributes) permissionsOr(otherwise uint32) uint32 {
	if a.has&hasMode != 0 {
		return a.mode & permissions
	}
	return otherwise
}

// times are for utimensat(2).
func (a attributes) times() []unix.Timespec {
	return []unix.Timespec{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}}
}

// attributes adds what a file has.
func (a *answer) attributes(st *unix.Stat_t) {
	a.uint32(hasSize | hasOwner | hasMode | hasTimes)
	a.uint64(uint64(st.Size))
	a.uint32(st.Uid)
	a.uint32(st.Gid)
	a.uint32(st.Mode)
	a.uint32(uint32(st.Atim.Sec))
	a.uint32(uint32(st.Mtim.Sec))
}

// names finds the names of users and groups, each once.
type names struct{ users, groups map[uint32]string }

// user is empty for a user without a name.
func (n *names) user(uid uint32) string {
	return lookup(&n.users, uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (n *names) group(gid uint32) string {
	return lookup(&n.groups, gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// maxNames bounds what is kept, since a client may ask for all numbers.
const maxNames = 4096

func lookup(known *map[uint32]string, id uint32, find func(string) (string, error)) string {
	if name, ok := (*known)[id]; ok {
		return name
	}
	name, err := find(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		name = ""
	}
	if *known == nil || len(*known) >= maxNames {
		*known = map[uint32]string{}
	}
	(*known)[id] = name
	return name
}

// line is what clients show of a file: as "ls -l" has it.
func (n *names) line(name string, st *unix.Stat_t) string {
	or := func(name string, id uint32) string {
		if name == "" {
			return strconv.FormatUint(uint64(id), 10)
		}
		return name
	}
	changed, layout := time.Unix(st.Mtim.Sec, 0), "Jan _2 15:04"
	if age := time.Since(changed); age > 365*24*time.Hour/2 || age < 0 {
		layout = "Jan _2  2006"
	}
	return fmt.Sprintf("%s %4d %-8s %-8s %8d %s %s", modeLetters(st.Mode), st.Nlink,
		or(n.user(st.Uid), st.Uid), or(n.group(st.Gid), st.Gid), st.Size, changed.Format(layout), name)
}

// modeLetters is a mode as strmode(3) has it.
func modeLetters(mode uint32) string {
	letters := []byte("?rwxrwxrwx")
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		letters[0] = '-'
	case unix.S_IFDIR:
		letters[0] = 'd'
	case unix.S_IFLNK:
		letters[0] = 'l'
	case unix.S_IFIFO:
		letters[0] = 'p'
	case unix.S_IFSOCK:
		letters[0] = 's'
	case unix.S_IFCHR:
		letters[0] = 'c'
	case unix.S_IFBLK:
		letters[0] = 'b'
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			letters[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit       uint32
		at        int
		with, not byte
	}{{unix.S_ISUID, 3, 's', 'S'}, {unix.S_ISGID, 6, 's', 'S'}, {unix.S_ISVTX, 9, 't', 'T'}} {
		if mode&special.bit != 0 {
			if letters[special.at] == 'x' {
				letters[special.at] = special.with
			} else {
				letters[special.at] = special.not
			}
		}
	}
	return string(letters)
}
