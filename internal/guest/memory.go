//go:build linux

package guest

import (
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// memory is what the agent has found in files of the image that every session
// asks for. An image may be in a file system in user space, where to open a file or
// to follow a link takes a good part of the time that starting a program takes, but
// to ask whether a file is the same does not: the kernel knows that itself.
type memory struct {
	databases userDatabases

	mu       sync.Mutex // for memory only
	known    bool       // what follows is
	who      string
	user     account
	from     [2]sight // the databases then
	shell    string   // that runs; empty if none is known
	at       string   // where it is, without links
	link, to sight    // the shell and at then
}

// account is userDatabases.find.
func (m *memory) account(who string) (account, error) {
	passwd, reliable := look(m.databases.passwd, 0)
	m.mu.Lock()
	user, from := m.user, m.from
	hit := reliable && m.known && m.who == who && from[0] == passwd
	m.mu.Unlock()
	if hit && user.isSelf() {
		return user, nil // whose groups nobody looks up
	}
	group, ok := look(m.databases.group, 0)
	if reliable = reliable && ok; hit && reliable && from[1] == group {
		return user, nil
	}
	user, err := m.databases.find(who)
	if err == nil && reliable {
		m.mu.Lock()
		m.known, m.who, m.user, m.from = true, who, user, [2]sight{passwd, group}
		m.mu.Unlock()
	}
	return user, err
}

// runs says whether the agent may execute a file.
func (m *memory) runs(path string) bool {
	if path == "" {
		return false
	}
	link, reliable := look(path, unix.AT_SYMLINK_NOFOLLOW)
	m.mu.Lock()
	at, to, hit := m.at, m.to, m.shell == path && m.link == link
	m.mu.Unlock()
	if hit && reliable {
		if now, ok := look(at, unix.AT_SYMLINK_NOFOLLOW); ok && now == to {
			return true
		}
	}
	at, err := filepath.EvalSymlinks(path)
	to, ok := look(at, unix.AT_SYMLINK_NOFOLLOW)
	if unix.Access(path, unix.X_OK) != nil {
		return false
	}
	if reliable && err == nil && ok {
		m.mu.Lock()
		m.shell, m.at, m.link, m.to = path, at, link, to
		m.mu.Unlock()
	}
	return true
}

// sight is what tells a file from another one, and from what it was before. The
// zero sight is that of a file that is not there.
type sight struct {
	device, inode, size uint64
	written, changed    unix.StatxTimestamp
}

// settled is for how long a file must have been as it is to be relied on: a change
// that comes at once after another may have the same time (file systems take the
// kernel's tick).
const settled = 2 * time.Second

// look looks at a file, with the flags of statx(2). ok is false if the file may change
// without its sight doing so.
//
// The time of the last access is not asked for: where a file system in user space
// keeps that, the kernel would have to ask there after each execution.
func look(path string, flags int) (s sight, ok bool) {
	const wanted = unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, flags, wanted, &st); err != nil {
		return s, err == unix.ENOENT
	}
	s = sight{device: unix.Mkdev(st.Dev_major, st.Dev_minor), inode: st.Ino, size: st.Size, written: st.Mtime, changed: st.Ctime}
	age := time.Since(time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec)))
	return s, st.Mask&wanted == wanted && age > settled
}
