//go:build linux

package sftpserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What a client sends without waiting is done in its order: what is written
// comes before the times that are set afterwards, and both before the close.
func TestOrder(t *testing.T) {
	c := startOurs(t, "", func(string) {})
	for i := range 200 {
		name := fmt.Sprintf("f%d", i)
		if got := exchange(c, on("", typeOpen, name, uint32(forWrite|create), none)); got != "a handle" {
			t.Fatal(got)
		}
		c.send(typeWrite, handleLast, uint64(0), strings.Repeat("x", 32<<10))
		c.send(typeWrite, handleLast, uint64(32<<10), "end")
		c.send(typeFsetstat, handleLast, attrs(hasTimes, 1e9, 1e9))
		c.send(typeClose, handleLast)
		c.id -= 4
		for range 4 {
			c.id++
			if got := c.receive(); got != "Success" {
				t.Fatal(got)
			}
		}
		info, err := os.Stat(filepath.Join(c.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != 32<<10+3 || info.ModTime().Unix() != 1e9 {
			t.Fatalf("%s has %d bytes and is from %v", name, info.Size(), info.ModTime())
		}
	}
}

// A large directory comes in parts, each entry once.
func TestLargeDirectory(t *testing.T) {
	const files = 1000
	c := startOurs(t, "", func(dir string) {
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s%d", strings.Repeat("n", 240), i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
	exchange(c, on("", typeOpendir, "."))
	seen := map[string]bool{}
	for {
		got := exchange(c, on("", typeReaddir, handleLast))
		if got == codeEOF.Error() {
			break
		}
		list := strings.Split(got, "\n\t")[1:]
		if len(list) == 0 {
			t.Fatalf("no names: %s", got)
		}
		for _, line := range list {
			name, _, _ := strings.Cut(line, " ")
			if seen[name] {
				t.Fatalf("%s twice", name)
			}
			seen[name] = true
		}
	}
	if len(seen) != files+2 {
		t.Errorf("%d names", len(seen))
	}
}

// The size of a file system is told as the system tells it; how much is free
// may change at any time.
func TestFileSystem(t *testing.T) {
	c := startOurs(t, "", func(dir string) { _ = os.WriteFile(filepath.Join(dir, "f"), nil, 0o600) })
	var st unix.Statfs_t
	if err := unix.Statfs(c.dir, &st); err != nil {
		t.Fatal(err)
	}
	exchange(c, on("", typeOpen, "f", uint32(forRead), none))
	for _, s := range []step{
		on("by name", typeExtended, "statvfs@openssh.com", "."),
		on("by handle", typeExtended, "fstatvfs@openssh.com", handleLast),
	} {
		var body string
		if _, err := fmt.Sscanf(exchange(c, s), "reply %q", &body); err != nil || len(body) != 11*8 {
			t.Fatalf("%s: %d bytes, %v", s.what, len(body), err)
		}
		number := func(i int) uint64 { return binary.BigEndian.Uint64([]byte(body[8*i:])) }
		if number(0) != uint64(st.Bsize) || number(1) != uint64(st.Frsize) || number(2) != st.Blocks || number(10) != uint64(st.Namelen) {
			t.Errorf("%s: sizes %d %d, blocks %d, names %d; want %+v", s.what, number(0), number(1), number(2), number(10), st)
		}
	}
}

// The longest requests and answers that there may be.
func TestLimits(t *testing.T) {
	c := startOurs(t, "", func(string) {})
	data := strings.Repeat("0123456789abcdef", maxData/16)
	exchange(c, on("", typeOpen, "f", uint32(forRead|forWrite|create), none))
	if got := exchange(c, on("", typeWrite, handleLast, uint64(0), data)); got != "Success" {
		t.Fatal(got)
	}
	for _, length := range []uint32{maxData, 1 << 20, 1<<32 - 1} {
		if got := exchange(c, on("", typeRead, handleLast, uint64(0), length)); got != fmt.Sprintf("data %q", data) {
			t.Errorf("of %d bytes there came an answer of %d", length, len(got))
		}
	}
}

// The words of a failure are the system's.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  code
		words string
	}{
		{nil, codeOK, "Success"},
		{&os.PathError{Op: "mkdir", Path: "x", Err: unix.ENOTEMPTY}, codeFailure, "directory not empty"},
		{unix.EROFS, codeFailure, "read-only file system"},
		{unix.EACCES, codePermissionDenied, "permission denied"},
		{fmt.Errorf("some: %w", unix.ENOTDIR), codeNoSuchFile, "not a directory"},
		{os.ErrClosed, codeFailure, "file already closed"},
		{codeUnsupported, codeUnsupported, "Operation unsupported"},
	} {
		if code, words := status(c.err); code != c.code || words != c.words {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, words, c.code, c.words)
		}
	}
}

// What is no request ends the session with an error, and does nothing.
func TestMalformed(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, input string
		ok          bool
	}{
		{"nothing", "", true},
		{"half a length", "\x00\x00", false},
		{"no type", "\x00\x00\x00\x00", false},
		{"too long", "\x00\x04\x00\x01", false},
		{"another protocol", "GET / HTTP/1.1\r\n\r\n", false},
		{"half a packet", "\x00\x00\x00\x09\x0d\x00\x00\x00\x01", false},
		{"half a name", "\x00\x00\x00\x0b\x0d\x00\x00\x00\x01\x00\x00\x00\x05fi", false},
		{"remove without attributes, and without end", "\x00\x00\x00\x0f\x09\x00\x00\x00\x01\x00\x00\x00\x04file\x00\x00", false},
		{"a type that is not known", "\x00\x00\x00\x05\xfe\x00\x00\x00\x01", true},
		{"more than is used", "\x00\x00\x00\x06\xfe\x00\x00\x00\x01x", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Serve(strings.NewReader(c.input), io.Discard, false); (err == nil) != c.ok {
				t.Errorf("ended with %v", err)
			}
			if _, err := os.Stat("file"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever a client sends, each answer is a packet, and answers are as many as
// there were requests.
func FuzzServe(f *testing.F) {
	dir := f.TempDir()
	packet := func(packetType byte, fields ...string) []byte {
		var a answer
		a.begin(packetType, 7)
		for _, field := range fields {
			a.string(field)
		}
		binary.BigEndian.PutUint32(a, uint32(len(a)-4))
		return a
	}
	f.Add(slices.Concat(packet(typeInit), packet(typeRealpath, "."), packet(typeOpendir, "."), packet(typeReaddir, "\x00\x00\x00\x00")))
	f.Add(packet(typeExtended, "users-groups-by-id@openssh.com", "\x00\x00\x00\x00", "\x00\x00\x00"))
	f.Add(packet(typeExtended, "expand-path@openssh.com", "~root"))
	f.Add(packet(typeOpen, "file", "\x00\x00\x00\x1a"))
	f.Add(slices.Concat(packet(typeStat, "x"), packet(typeMkdir, "x")))
	f.Fuzz(func(t *testing.T, input []byte) {
		t.Chdir(dir)
		var out bytes.Buffer
		// Read-only: paths may lead anywhere.
		err := Serve(bytes.NewReader(input), &out, true)
		requests := 0
		for rest := input; len(rest) >= 4; requests++ {
			n := uint64(binary.BigEndian.Uint32(rest))
			if n > uint64(len(rest)-4) {
				break
			}
			rest = rest[4+n:]
		}
		answers := 0
		for b := out.Bytes(); len(b) > 0; answers++ {
			if len(b) < 9 || int(binary.BigEndian.Uint32(b)) > len(b)-4 {
				t.Fatalf("a malformed answer: %q", b)
			}
			b = b[4+binary.BigEndian.Uint32(b):]
		}
		if answers > requests || err == nil && answers != requests {
			t.Errorf("%d answers to %d requests, %v", answers, requests, err)
		}
	})
}
