//go:build linux

package sftpserver

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attrs are attributes on the wire.
func attrs(has uint32, numbers ...uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, has)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

var none = attrs(0)

// step is one request.
type step struct {
	what       string
	packetType byte
	fields     []any
}

func on(what string, packetType byte, fields ...any) step { return step{what, packetType, fields} }

// tree is what both servers find.
func tree(t *testing.T) func(dir string) {
	return func(dir string) {
		t.Helper()
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		in := func(name string) string { return filepath.Join(dir, name) }
		check(os.Mkdir(in("d"), 0o755))
		check(os.Mkdir(in("d/empty"), 0o750))
		check(os.Mkdir(in("sticky"), 0o755))
		check(os.Chmod(in("sticky"), 0o755|fs.ModeSticky|fs.ModeSetgid))
		check(os.WriteFile(in("file"), []byte("0123456789"), 0o644))
		check(os.WriteFile(in("other"), []byte("other"), 0o600))
		check(os.WriteFile(in("d/Grüße an \"alle\""), []byte("x"), 0o640))
		check(os.WriteFile(in("setuid"), nil, 0o644))
		check(os.Chmod(in("setuid"), 0o4755))
		check(os.Chmod(in("setuid"), 0o755|fs.ModeSetuid))
		check(os.Symlink("d", in("link")))
		check(os.Symlink("nowhere", in("dangling")))
		check(os.Symlink("loop", in("loop")))
		check(os.Symlink("../file", in("d/up")))
		check(unix.Mkfifo(in("fifo"), 0o600))
		fixed := time.Unix(1e9, 0)
		for _, name := range []string{"file", "other", "d/Grüße an \"alle\"", "setuid", "d/empty", "sticky", "d", "fifo"} {
			check(os.Chtimes(in(name), fixed, fixed))
		}
		for _, name := range []string{"link", "dangling", "loop", "d/up"} {
			check(unix.UtimesNanoAt(unix.AT_FDCWD, in(name), []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}, unix.AT_SYMLINK_NOFOLLOW))
		}
		check(os.Chtimes(dir, fixed, fixed))
	}
}

// steps are done one after another.
var steps = []step{
	on("init", typeInit),
	on("realpath of nothing", typeRealpath, ""),
	on("realpath of a dot", typeRealpath, "."),
	on("realpath with dots", typeRealpath, "d/../d/./empty/.."),
	on("realpath of a link", typeRealpath, "link"),
	on("realpath below a link", typeRealpath, "link/empty"),
	on("realpath above a link", typeRealpath, "link/.."),
	on("realpath of what is not there", typeRealpath, "d/new"),
	on("realpath below what is not there", typeRealpath, "new/new"),
	on("realpath through what is not there", typeRealpath, "new/../d"),
	on("realpath of a dangling link", typeRealpath, "dangling"),
	on("realpath of a loop", typeRealpath, "loop"),
	on("realpath below a file", typeRealpath, "file/x"),
	on("realpath of the root", typeRealpath, "/"),
	on("realpath above the root", typeRealpath, "/.."),
	on("realpath of double slashes", typeRealpath, "//{dir}//d//"),

	on("stat of a file", typeStat, "file"),
	on("stat of a directory", typeStat, "d"),
	on("stat of a link", typeStat, "link"),
	on("stat of a dangling link", typeStat, "dangling"),
	on("stat of a loop", typeStat, "loop"),
	on("stat of nothing", typeStat, ""),
	on("stat below a file", typeStat, "file/x"),
	on("stat of a long name", typeStat, strings.Repeat("x", 300)),
	on("lstat of a link", typeLstat, "link"),
	on("lstat of a fifo", typeLstat, "fifo"),
	on("lstat of a program that changes its user", typeLstat, "setuid"),
	on("lstat of what is not there", typeLstat, "missing"),
	on("readlink", typeReadlink, "link"),
	on("readlink of a file", typeReadlink, "file"),
	on("readlink of what is not there", typeReadlink, "missing"),

	on("list", typeOpendir, "."),
	on("list on", typeReaddir, handleLast),
	on("list to the end", typeReaddir, handleLast),
	on("read a list", typeRead, handleLast, uint64(0), uint32(10)),
	on("write a list", typeWrite, handleLast, uint64(0), "x"),
	on("stat of a list", typeFstat, handleLast),
	on("close the list", typeClose, handleLast),
	on("close it again", typeClose, handleLast),
	on("list through a link", typeOpendir, "link"),
	on("list on through a link", typeReaddir, handleLast),
	on("list a file", typeOpendir, "file"),
	on("list what is not there", typeOpendir, "missing"),

	on("open to read", typeOpen, "file", uint32(forRead), none),
	on("read", typeRead, handleLast, uint64(2), uint32(5)),
	on("read to the end", typeRead, handleLast, uint64(8), uint32(100)),
	on("read at the end", typeRead, handleLast, uint64(10), uint32(100)),
	on("read beyond the end", typeRead, handleLast, uint64(1e12), uint32(100)),
	on("read nothing", typeRead, handleLast, uint64(0), uint32(0)),
	on("write what is open to read", typeWrite, handleLast, uint64(0), "x"),
	on("list a file that is open", typeReaddir, handleLast),
	on("stat of what is open", typeFstat, handleLast),
	on("truncate what is open to read", typeFsetstat, handleLast, attrs(hasSize, 0, 1)),
	on("mode of what is open", typeFsetstat, handleLast, attrs(hasMode, 0o600)),
	on("close", typeClose, handleLast),
	on("read what is closed", typeRead, handleLast, uint64(0), uint32(1)),
	on("write what is closed", typeWrite, handleLast, uint64(0), "x"),
	on("stat of what is closed", typeFstat, handleLast),
	on("no such handle", typeClose, "nonsense"),

	on("open nothing", typeOpen, "missing", uint32(forRead), none),
	on("open a directory to read", typeOpen, "d", uint32(forRead), none),
	on("read a directory", typeRead, handleLast, uint64(0), uint32(10)),
	on("open a directory to write", typeOpen, "d", uint32(forWrite|create), none),
	on("open for nothing", typeOpen, "file", uint32(0), none),
	on("make a file", typeOpen, "made", uint32(forWrite|create), none),
	on("write it", typeWrite, handleLast, uint64(3), "abc"),
	on("write it again", typeWrite, handleLast, uint64(0), "xyz"),
	on("read what is open to write", typeRead, handleLast, uint64(0), uint32(1)),
	on("shorten it", typeFsetstat, handleLast, attrs(hasSize|hasMode|hasTimes, 0, 5, 0o640, 1e9, 1e9)),
	on("its attributes", typeFstat, handleLast),
	on("flush it", typeExtended, "fsync@openssh.com", handleLast),
	on("its file system", typeExtended, "fstatvfs@openssh.com", "nonsense"),
	on("close it", typeClose, handleLast),
	on("make it only once", typeOpen, "made", uint32(forWrite|create|exclusive), none),
	on("make one with a mode", typeOpen, "secret", uint32(forWrite|create|exclusive), attrs(hasMode, 0o600)),
	on("its mode", typeLstat, "secret"),
	on("open with a mode, what is there", typeOpen, "secret", uint32(forWrite|create|truncate), attrs(hasMode, 0o666)),
	on("its mode, the same", typeLstat, "secret"),
	on("open to read and write", typeOpen, "other", uint32(forRead|forWrite), none),
	on("write there", typeWrite, handleLast, uint64(5), "!"),
	on("read there", typeRead, handleLast, uint64(0), uint32(100)),
	on("append", typeOpen, "other", uint32(forWrite|forAppend), none),
	on("append something, wherever", typeWrite, handleLast, uint64(0), "+"),
	on("append more", typeWrite, handleLast, uint64(100), "+"),
	on("what is there", typeStat, "other"),
	on("truncate by opening", typeOpen, "made", uint32(forWrite|truncate), none),
	on("what is left", typeStat, "made"),

	on("mode", typeSetstat, "file", attrs(hasMode, 0o4751)),
	on("mode now", typeStat, "file"),
	on("times", typeSetstat, "file", attrs(hasTimes, 5e8, 6e8)),
	on("times now", typeStat, "file"),
	on("size", typeSetstat, "file", attrs(hasSize, 0, 4)),
	on("size now", typeStat, "file"),
	on("owner", typeSetstat, "file", attrs(hasOwner, uint32(os.Getuid()), uint32(os.Getgid()))),
	on("nothing to set", typeSetstat, "file", none),
	on("attributes that nobody knows", typeSetstat, "file", append(attrs(hasExtended, 1), "\x00\x00\x00\x01a\x00\x00\x00\x01b"...)),
	on("set what is not there", typeSetstat, "missing", attrs(hasMode, 0o600)),
	on("size of a directory", typeSetstat, "d", attrs(hasSize, 0, 0)),
	on("times through a link", typeSetstat, "link", attrs(hasTimes, 7e8, 7e8)),
	on("the link's own", typeLstat, "link"),
	on("times of a link", typeExtended, "lsetstat@openssh.com", "link", attrs(hasTimes, 8e8, 8e8)),
	on("the link's own now", typeLstat, "link"),
	on("owner of a link", typeExtended, "lsetstat@openssh.com", "dangling", attrs(hasOwner, uint32(os.Getuid()), uint32(os.Getgid()))),
	on("size of a link", typeExtended, "lsetstat@openssh.com", "link", attrs(hasSize, 0, 0)),

	on("make a directory", typeMkdir, "made-d", none),
	on("its mode", typeStat, "made-d"),
	on("make a private one", typeMkdir, "private", attrs(hasMode, 0o700)),
	on("its mode", typeStat, "private"),
	on("make it again", typeMkdir, "private", none),
	on("make one nowhere", typeMkdir, "missing/d", none),
	on("remove a directory as a file", typeRemove, "private"),
	on("remove a file as a directory", typeRmdir, "file"),
	on("remove one that is not empty", typeRmdir, "d"),
	on("remove one", typeRmdir, "private"),
	on("remove a link as a directory", typeRmdir, "link"),
	on("remove what is not there", typeRemove, "missing"),
	on("remove", typeRemove, "secret"),

	on("rename", typeRename, "file", "renamed"),
	on("rename onto another", typeRename, "renamed", "other"),
	on("rename onto itself", typeRename, "renamed", "renamed"),
	on("rename a directory", typeRename, "made-d", "renamed-d"),
	on("rename a directory onto another", typeRename, "renamed-d", "d/empty"),
	on("rename a link", typeRename, "dangling", "renamed-link"),
	on("rename what is not there", typeRename, "missing", "x"),
	on("rename to nowhere", typeRename, "renamed", "missing/x"),
	on("rename as POSIX has it", typeExtended, "posix-rename@openssh.com", "renamed", "other"),
	on("and what is not there", typeExtended, "posix-rename@openssh.com", "missing", "other"),
	on("what was moved", typeStat, "other"),

	on("symlink", typeSymlink, "target of a link", "new-link"),
	on("where it leads", typeReadlink, "new-link"),
	on("symlink where something is", typeSymlink, "x", "other"),
	on("link", typeExtended, "hardlink@openssh.com", "other", "hard"),
	on("link where something is", typeExtended, "hardlink@openssh.com", "other", "made"),
	on("link a directory", typeExtended, "hardlink@openssh.com", "d", "hard-d"),
	on("what is linked", typeStat, "hard"),

	on("open to copy", typeOpen, "made", uint32(forRead), none),
	on("open for the copy", typeOpen, "copy", uint32(forRead|forWrite|create), none),
	on("make something to copy", typeSetstat, "made", attrs(hasSize, 0, 9)),
	on("copy", typeExtended, "copy-data", handleBefore, uint64(2), uint64(5), handleLast, uint64(1)),
	on("the copy", typeFstat, handleLast),
	on("copy to the end", typeExtended, "copy-data", handleBefore, uint64(0), uint64(0), handleLast, uint64(3)),
	on("the copy now", typeFstat, handleLast),
	on("copy onto itself", typeExtended, "copy-data", handleLast, uint64(0), uint64(0), handleLast, uint64(3)),
	on("copy to what is open to read", typeExtended, "copy-data", handleLast, uint64(0), uint64(0), handleBefore, uint64(3)),
	on("copy what is not open", typeExtended, "copy-data", "nonsense", uint64(0), uint64(0), handleLast, uint64(3)),
	on("limits", typeExtended, "limits@openssh.com"),
	on("what nobody knows", typeExtended, "nonsense@example.com", "x"),
	on("expand a home", typeExtended, "expand-path@openssh.com", "~"),
	on("expand below a home", typeExtended, "expand-path@openssh.com", "~/x"),
	on("expand somebody's home", typeExtended, "expand-path@openssh.com", "~root/x"),
	on("expand nobody's home", typeExtended, "expand-path@openssh.com", "~nobody-of-that-name/x"),
	on("expand nothing", typeExtended, "expand-path@openssh.com", "d/../d"),
	on("a home", typeExtended, "home-directory", "root"),
	on("nobody's home", typeExtended, "home-directory", "nobody-of-that-name"),
	on("names of users and groups", typeExtended, "users-groups-by-id@openssh.com",
		"\x00\x00\x00\x00\x0f\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x02"),
	on("file system of what is not there", typeExtended, "statvfs@openssh.com", "missing"),
	on("list at the end", typeOpendir, "d"),
	on("list on at the end", typeReaddir, handleLast),
}

// Every request has the answer that OpenSSH's server gives, and the files are the
// same afterwards.
func TestAsOpenSSH(t *testing.T) {
	ours, openssh := startOurs(t, "", tree(t)), startOpenSSH(t, "", tree(t))
	for _, s := range steps {
		got, want := exchange(ours, s), exchange(openssh, s)
		if got != want {
			t.Errorf("%s:\n    here: %s\nOpenSSH's: %s", s.what, got, want)
		}
	}
	if got, want := walk(t, ours.dir), walk(t, openssh.dir); got != want {
		t.Errorf("the files afterwards:\nhere:\n%s\nOpenSSH's:\n%s", got, want)
	}
}

// Nothing that changes anything is done, and the answers are OpenSSH's.
func TestReadOnlyAsOpenSSH(t *testing.T) {
	ours, openssh := startOurs(t, "-R", tree(t)), startOpenSSH(t, "-R", tree(t))
	before := walk(t, ours.dir)
	for _, s := range steps {
		got, want := exchange(ours, s), exchange(openssh, s)
		if got != want {
			t.Errorf("%s:\n    here: %s\nOpenSSH's: %s", s.what, got, want)
		}
	}
	if after := walk(t, ours.dir); after != before {
		t.Errorf("the files have changed from:\n%s\nto:\n%s", before, after)
	}
}

func exchange(c *client, s step) string {
	c.send(s.packetType, s.fields...)
	return c.receive()
}

// walk is all that there is below a directory, with modes, links and contents.
func walk(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		links := uint64(info.Sys().(*syscall.Stat_t).Nlink)
		fmt.Fprintf(&all, "%s %v %d %q\n", strings.TrimPrefix(path, root), info.Mode(), links, content)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
