//go:build linux

package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// write replaces what a file holds, in place.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// settle waits until files may be remembered.
func settle(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			if _, ok := look(path, unix.AT_SYMLINK_NOFOLLOW); ok {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not settle", path)
			}
		}
	}
}

func newMemory(t *testing.T) (m *memory, passwd, group string) {
	t.Helper()
	dir := t.TempDir()
	passwd, group = filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	return &memory{databases: userDatabases{passwd, group}}, passwd, group
}

// The account is what the files say now: after any change of either, also one of the
// same size that is dated back.
func TestMemoryOfAccounts(t *testing.T) {
	t.Parallel()
	m, passwd, group := newMemory(t)
	write(t, passwd, "a:x:1001:1:g:/h:/s\nb:x:1002:1:g:/h:/s\n", 0o644)
	write(t, group, "g:x:7:a\n", 0o644)
	settle(t, passwd, group)
	check := func(who string, uid, further uint32) {
		t.Helper()
		for range 2 {
			a, err := m.account(who)
			if err != nil || a.uid != uid || fmt.Sprint(a.groups) != fmt.Sprint([]uint32{further}) {
				t.Errorf("%s is %+v, %v; want user %d with group %d", who, a, err, uid, further)
			}
		}
	}
	check("a", 1001, 7)
	if !m.known {
		t.Fatal("nothing is remembered")
	}
	old, err := os.Stat(passwd)
	if err != nil {
		t.Fatal(err)
	}
	write(t, passwd, "a:x:1009:1:g:/h:/s\nb:x:1002:1:g:/h:/s\n", 0o644)
	if err := os.Chtimes(passwd, old.ModTime(), old.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("a", 1009, 7)
	settle(t, passwd)
	check("a", 1009, 7)
	write(t, group, "g:x:8:a,b\n", 0o644)
	check("a", 1009, 8)
	check("b", 1002, 8)
	settle(t, group)
	check("b", 1002, 8)
	if err := os.Remove(passwd); err != nil {
		t.Fatal(err)
	}
	if a, err := m.account("b"); err == nil {
		t.Errorf("without the file b is %+v", a)
	}
	if a, err := m.account("5"); err != nil || a.uid != 5 {
		t.Errorf("without the file 5 is %+v, %v", a, err)
	}
}

// Changes at once after one another are seen, each of them.
func TestMemoryOfFastChanges(t *testing.T) {
	t.Parallel()
	m, passwd, _ := newMemory(t)
	for i := range 200 {
		uid := uint32(1000 + i)
		write(t, passwd, fmt.Sprintf("a:x:%d:1:g:/h:/s\n", uid), 0o644)
		if a, err := m.account("a"); err != nil || a.uid != uid {
			t.Fatalf("got %+v, %v; want user %d", a, err, uid)
		}
	}
}

// A shell runs as long as it can be run, through whatever links.
func TestMemoryOfShells(t *testing.T) {
	t.Parallel()
	m, _, _ := newMemory(t)
	dir := t.TempDir()
	link, other, file := filepath.Join(dir, "sh"), filepath.Join(dir, "other"), filepath.Join(dir, "busybox")
	check := func(what string, path string, want bool) {
		t.Helper()
		for range 2 {
			if got := m.runs(path); got != want {
				t.Errorf("%s: runs is %v", what, got)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, "#!", 0o755)
	must(os.Symlink("busybox", link))
	settle(t, file, link)
	check("no path", "", false)
	check("a link", link, true)
	if m.shell != link || m.at != file {
		t.Fatalf("remembered is %q at %q", m.shell, m.at)
	}
	must(os.Chmod(file, 0o644))
	check("not executable", link, false)
	must(os.Chmod(file, 0o755))
	settle(t, file)
	check("executable again", link, true)
	must(os.Remove(file))
	check("the file is gone", link, false)
	write(t, file, "#!", 0o755)
	settle(t, file)
	check("the file is back", link, true)
	must(os.Symlink("nowhere", other))
	must(os.Rename(other, link))
	check("the link leads nowhere", link, false)
	must(os.Remove(link))
	check("the link is gone", link, false)
}
