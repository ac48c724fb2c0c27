//go:build linux

package scpserver

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// What a client says, byte by byte, and what it gets.
func TestConversations(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says string
		gets string
		code int
		file string // what is in "file" afterwards
		log  string
	}{
		{"a file", []string{"-t", "file"}, "C0644 3 x\nabc\x00", "\x00\x00\x00", 0, "abc", ""},
		{"a file into a directory", []string{"-t", "."}, "C0644 3 file\nabc\x00", "\x00\x00\x00", 0, "abc", ""},
		{"an empty file", []string{"-t", "file"}, "C0644 0 x\n\x00", "\x00\x00\x00", 0, "", ""},
		{"times", []string{"-p", "-t", "file"}, "T5 0 6 0\nC0600 1 x\na\x00", "\x00\x00\x00\x00", 0, "a", ""},
		{"two files", []string{"-d", "-t", "--", "."}, "C0644 1 file\na\x00C0644 1 b\nb\x00", "\x00\x00\x00\x00\x00", 0, "a", ""},
		{"a shorter one after it", []string{"-t", "file"}, "C0644 3 x\nabc\x00C0644 1 x\na\x00", "\x00\x00\x00\x00\x00", 0, "a", ""},
		{"a directory", []string{"-rt", "."}, "D0755 0 d\nC0644 1 file\na\x00E\n", "\x00\x00\x00\x00\x00", 0, "", ""},
		{"nothing", []string{"-t", "file"}, "", "\x00", 0, "", ""},
		{"a failure of the client's", []string{"-t", "file"}, "\x01scp: x: no\n", "\x00", 1, "", "scp: x: no\n"},
		{"bytes that are not right", []string{"-t", "file"}, "C0644 1 x\na\x01changed\n", "\x00\x00\x00", 1, "a", "changed\n"},

		{"no such directory", []string{"-t", "none/file"}, "C0644 1 x\n", "\x00\x01scp: none/file: No such file or directory\n", 1, "", ""},
		{"no directory", []string{"-d", "-t", "old"}, "", "\x01scp: old: Not a directory\n", 1, "", ""},
		{"out of the directory", []string{"-t", "."}, "C0644 1 ../file\na\x00", "\x00\x02scp: unexpected name \"../file\"\n", 1, "", ""},
		{"the directory above", []string{"-rt", "."}, "D0755 0 ..\n", "\x00\x02scp: unexpected name \"..\"\n", 1, "", ""},
		{"a directory that is not expected", []string{"-t", "."}, "D0755 0 d\n", "\x00\x02scp: unexpected message \"D0755 0 d\"\n", 1, "", ""},
		{"an end that is not expected", []string{"-rt", "."}, "E\n", "\x00\x02scp: unexpected message \"E\"\n", 1, "", ""},
		{"a size that is none", []string{"-t", "file"}, "C0644 -1 x\n", "\x00\x02scp: this is no file: \"0644 -1 x\"\n", 1, "", ""},
		{"half a message", []string{"-t", "file"}, "C0644 1", "\x00", 1, "", ""},
		{"half a file", []string{"-t", "file"}, "C0644 3 x\nab", "\x00\x00", 1, "ab", ""},
		{"a message without end", []string{"-t", "file"}, "C" + strings.Repeat("0", 10000), "\x00", 1, "", ""},

		{"give a file", []string{"-f", "old"}, "\x00\x00\x00", "C0640 9 old\nold bytes\x00", 0, "", ""},
		{"give two", []string{"-f", "old", "old"}, "\x00\x00\x00\x00\x00", "C0640 9 old\nold bytes\x00C0640 9 old\nold bytes\x00", 0, "", ""},
		{"give a file with times", []string{"-pf", "old"}, "\x00\x00\x00\x00", "T1000000000 0 1000000000 0\nC0640 9 old\nold bytes\x00", 0, "", ""},
		{"give a directory", []string{"-r", "-f", "d"}, "\x00\x00\x00\x00\x00\x00", "D0755 0 d\nC0600 1 in\nx\x00E\n", 0, "", ""},
		{"a file that is not wanted", []string{"-f", "old"}, "\x00\x01no space\n", "C0640 9 old\n", 1, "", "no space\n"},
		{"what is not there", []string{"-f", "none", "old"}, "\x00\x00\x00", "\x01scp: none: No such file or directory\nC0640 9 old\nold bytes\x00", 1, "", ""},
		{"a directory without -r", []string{"-f", "d"}, "\x00", "\x01scp: d: not a regular file\n", 1, "", ""},
		{"a fifo", []string{"-f", "fifo"}, "\x00", "\x01scp: fifo: not a regular file\n", 1, "", ""},
		{"a client that goes", []string{"-f", "old"}, "\x00", "C0640 9 old\n", 1, "", ""},

		{"both ways", []string{"-t", "-f", "x"}, "", "", 1, "", "scp: this is the other end of a client's scp, run with -t DIRECTORY or -f FILE...; it copies nothing by itself\n"},
		{"no such option", []string{"-x", "-t", "x"}, "", "", 1, "", "scp: unknown option -x\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			files(t)
			var out, log bytes.Buffer
			code := Run(c.args, strings.NewReader(c.says), &out, &log)
			if code != c.code || out.String() != c.gets || log.String() != c.log {
				t.Errorf("exit code %d, says %q, logs %q\nwant %d, %q, %q", code, &out, &log, c.code, c.gets, c.log)
			}
			if got, _ := os.ReadFile("file"); string(got) != c.file {
				t.Errorf("the file has %q, want %q", got, c.file)
			}
		})
	}
}

// files makes what a conversation finds.
func files(t *testing.T) {
	t.Helper()
	script := `umask 022; printf 'old bytes' > old; chmod 640 old; touch -d @1000000000 old
		mkdir d; printf x > d/in; chmod 600 d/in; mkfifo fifo`
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// asServer in the environment makes the test program a server.
const asServer = "BERTH_TEST_SCP_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// OpenSSH's own scp at the other end, as client and server: a tree arrives as it
// was, both ways.
func TestWithOpenSSH(t *testing.T) {
	scp, err := exec.LookPath("scp")
	if err != nil {
		t.Fatalf("%v: run \"make setup\"", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := `umask 022; mkdir -p tree/sub/empty 'tree/with  spaces'; head -c 3000000 /dev/urandom > tree/sub/big
		printf x > 'tree/with  spaces/Grüße'; : > tree/none; chmod 750 tree/sub; chmod 4711 tree/none
		touch -d @1000000000 tree/sub/big tree/none tree/sub/empty tree/sub tree`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Instead of ssh there is a program that runs the last argument here.
	fake := filepath.Join(dir, "ssh")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+
		"for command; do :; done\ncd "+dir+"\nset -- ${command#scp}\n"+
		asServer+"=1 exec "+self+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"tree", "host:there"}, {"host:there", "back"}} {
		cmd := exec.Command(scp, append([]string{"-O", "-S", fake, "-rp"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("scp %q: %v: %s", args, err, out)
		}
	}
	list := func(root string) string {
		cmd := exec.Command("sh", "-c", `find . -printf '%P %m %T@ %y\n' | sort; find . -type f -exec sha256sum {} + | sort`)
		cmd.Dir = filepath.Join(dir, root)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	// Fractions of a second do not go over the wire, in either direction.
	whole := exec.Command("sh", "-c", `find tree -exec sh -c 'for f; do touch -d @$(stat -c %Y "$f") "$f"; done' sh {} +`)
	whole.Dir = dir
	if out, err := whole.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := list("tree")
	for _, root := range []string{"there", "back"} {
		if got := list(root); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", root, got, want)
		}
	}
}
