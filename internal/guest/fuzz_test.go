//go:build linux

package guest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/berth-ssh/berth/agentproto"
)

// Where there is no shell a command line is what a shell would make of it, or
// refused.
func FuzzWords(f *testing.F) {
	for _, line := range []string{"a 'b c' \"d\\\"e\" f\\ g", "a\nb", "A=b c", "! a", "if a", "a\\\nb", "é", "a''", "\"a\\b\"", "a b\n", "~ a~b", "\v"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\x00\r") {
			return // the shell that this is held against has no such
		}
		got, err := words(line)
		if err != nil {
			return
		}
		want, ok := shellWords(line)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, a shell has %q, %v", line, got, want, ok)
		}
	})
}

// What is no text is passed on as it is.
func TestWordsBytes(t *testing.T) {
	if got, err := words("\xff '\xc3' \"\xbc\""); err != nil || !slices.Equal(got, []string{"\xff", "\xc3", "\xbc"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// shellWords are those of the one simple command that a line is.
func shellWords(line string) ([]string, bool) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil {
		return nil, false
	}
	if len(file.Stmts) == 0 {
		return nil, true
	}
	if len(file.Stmts) > 1 {
		return nil, false
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Negated || s.Background || s.Coprocess || len(s.Redirs) > 0 || len(call.Assigns) > 0 {
		return nil, false
	}
	fields, err := expand.Fields(&expand.Config{}, call.Args...)
	return fields, err == nil
}

// Whatever an image says of its users, an account is found or not; and who is
// found has an identity that can be taken on.
func FuzzAccount(f *testing.F) {
	f.Add("a:x:1:2:g:/h:/s\n", "g:x:3:a,b\n", "a")
	f.Add("a:x:4294967295:0:g:/h:/s\n", "", "a")
	f.Add("\na:x:1\n:x:0:0:::\n", "g:x:-1:a\ng:x:4294967295:a\n", "")
	f.Add(strings.Repeat("x", 1<<17)+"\na:x:1:2:g:/h:/s\n", "", "1")
	f.Fuzz(func(t *testing.T, passwd, group, who string) {
		dir := t.TempDir()
		databases := userDatabases{filepath.Join(dir, "passwd"), filepath.Join(dir, "group")}
		for path, text := range map[string]string{databases.passwd: passwd, databases.group: group} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a, err := databases.find(who)
		if err != nil {
			return
		}
		if a.name == "" || a.home == "" || strings.Contains(a.name+a.home+a.shell, "\x00") {
			t.Errorf("%q is %+v", who, a)
		}
		for _, id := range append(a.groups, a.uid, a.gid) {
			if id == noID {
				t.Errorf("%q is %+v: the kernel takes %d for no change", who, a, id)
			}
		}
	})
}

// Terminal modes change what they name and nothing else.
func FuzzModes(f *testing.F) {
	f.Add("\x01\x00\x00\x00\x03\x35\x00\x00\x00\x00\x5b\x00\x00\x00\x01\x00")
	f.Add("\x80\x00\x00\x96\x00\x03\x00\x00\x00\xff\xa0\x00")
	f.Fuzz(func(t *testing.T, modes string) {
		var one unix.Termios
		applyModes(&one, modes)
		again := one
		applyModes(&again, modes)
		if again != one {
			t.Errorf("%q is not the same twice: %+v, %+v", modes, one, again)
		}
		if one.Ispeed != 0 || one.Ospeed != 0 || one.Line != 0 || one.Cflag&^(unix.CSIZE) != 0 {
			t.Errorf("%q changed %+v", modes, one)
		}
	})
}

// The file of a display's cookie can be read again.
func FuzzAuthority(f *testing.F) {
	f.Add(uint32(10), "MIT-MAGIC-COOKIE-1", "0123456789abcdef")
	f.Add(uint32(0), "", "")
	f.Fuzz(func(t *testing.T, display uint32, protocol, cookie string) {
		if len(protocol) > 1<<16-1 || len(cookie) > 1<<16-1 {
			return // the server takes no such from a client
		}
		file := authority(&agentproto.X11{Display: display, Protocol: protocol, Cookie: cookie})
		for len(file) > 0 {
			if len(file) < 2 {
				t.Fatalf("%q is left", file)
			}
			file = file[2:]
			var fields [4]string
			for i := range fields {
				if len(file) < 2 || len(file)-2 < int(binary.BigEndian.Uint16(file)) {
					t.Fatalf("field %d has no end", i)
				}
				n := binary.BigEndian.Uint16(file)
				fields[i], file = string(file[2:2+n]), file[2+n:]
			}
			if fields[2] != protocol || fields[3] != cookie {
				t.Fatalf("%q and %q became %q and %q", protocol, cookie, fields[2], fields[3])
			}
		}
	})
}
