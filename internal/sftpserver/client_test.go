//go:build linux

package sftpserver

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// opensshServer is where Debian's openssh-sftp-server has it.
const opensshServer = "/usr/lib/openssh/sftp-server"

// asServer in the environment makes the test program a server.
const asServer = "BERTH_TEST_SFTP_SERVER"

func TestMain(m *testing.M) {
	if how := os.Getenv(asServer); how != "" {
		if err := Serve(os.Stdin, os.Stdout, how == "-R"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// client talks to a server that is a process of its own, in a directory of its
// own: the other one is OpenSSH's.
type client struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	to   io.WriteCloser
	from io.Reader
	id   uint32
	// handle is the last one that the server gave, and before the one before.
	handle, before string
}

// startOurs and startOpenSSH start servers; option is -R for a read-only one, or
// empty. Both have the same user, umask and, by setUp, files.
func startOurs(t *testing.T, option string, setUp func(dir string)) *client {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asServer+"="+option)
	if option == "" {
		cmd.Env[len(cmd.Env)-1] += "read and write"
	}
	return start(t, cmd, setUp)
}

func startOpenSSH(t *testing.T, option string, setUp func(dir string)) *client {
	if _, err := os.Stat(opensshServer); err != nil {
		t.Skipf("LOUD: nothing to compare with; install Debian's package openssh-sftp-server, as \"make setup\" does: %v", err)
	}
	cmd := exec.Command(opensshServer, strings.Fields(option)...)
	return start(t, cmd, setUp)
}

func start(t *testing.T, cmd *exec.Cmd, setUp func(dir string)) *client {
	t.Helper()
	c := &client{t: t, cmd: cmd}
	var err error
	if c.dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	setUp(c.dir)
	cmd.Dir, cmd.Stderr = c.dir, t.Output()
	if c.to, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.from, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.to.Close()
		_ = cmd.Wait()
	})
	return c
}

// packet is a request under construction.
type packet struct{ answer }

// send sends a request; fields are numbers, strings, attributes (raw bytes), and
// handles.
func (c *client) send(packetType byte, fields ...any) {
	c.t.Helper()
	c.id++
	var p packet
	p.begin(packetType, c.id)
	if packetType == typeInit {
		p.answer = append(p.answer[:5], 0, 0, 0, version)
	}
	for _, f := range fields {
		switch f := f.(type) {
		case handleWord:
			if f == handleBefore {
				p.string(c.before)
			} else {
				p.string(c.handle)
			}
		case string:
			p.string(strings.ReplaceAll(f, "{dir}", c.dir))
		case uint32:
			p.uint32(f)
		case uint64:
			p.uint64(f)
		case []byte:
			p.answer = append(p.answer, f...)
		default:
			c.t.Fatalf("no field: %T", f)
		}
	}
	binary.BigEndian.PutUint32(p.answer, uint32(len(p.answer)-4))
	if _, err := c.to.Write(p.answer); err != nil {
		c.t.Fatalf("send a request of type %d: %v", packetType, err)
	}
}

// handleWord stands for a handle that the server has given.
type handleWord string

const (
	handleLast   = handleWord("last")
	handleBefore = handleWord("before")
)

// receive gives an answer in words, which are the same for servers that do the
// same.
func (c *client) receive() string {
	c.t.Helper()
	var length [4]byte
	if _, err := io.ReadFull(c.from, length[:]); err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c.from, b); err != nil {
		c.t.Fatalf("half an answer: %v", err)
	}
	r := &request{rest: b}
	packetType, id := r.byte(), r.uint32()
	if packetType != typeVersion && id != c.id {
		c.t.Errorf("an answer to request %d, not %d", id, c.id)
	}
	var words string
	switch packetType {
	case typeVersion:
		words = fmt.Sprintf("version %d", id)
		for len(r.rest) > 0 {
			words += fmt.Sprintf(" %s=%s", r.string(), r.string())
		}
	case typeStatus:
		words = code(r.uint32()).Error()
		r.string()
		r.string()
	case typeHandle:
		c.before, c.handle = c.handle, r.string()
		words = "a handle"
	case typeData:
		words = fmt.Sprintf("data %q", r.bytes())
	case typeName:
		var list []string
		for range r.uint32() {
			name, line := r.string(), r.string()
			list = append(list, strings.ReplaceAll(fmt.Sprintf("%q %q %s", name, line, showAttributes(r)), c.dir, "{dir}"))
		}
		slices.Sort(list)
		words = "names:\n\t" + strings.Join(list, "\n\t")
	case typeAttrs:
		words = showAttributes(r)
	case typeExtendedReply:
		words = fmt.Sprintf("reply %q", r.rest)
		r.rest = nil
	default:
		words = fmt.Sprintf("type %d", packetType)
	}
	if r.bad || len(r.rest) > 0 {
		c.t.Errorf("%s: malformed, %d bytes are left", words, len(r.rest))
	}
	return words
}

func showAttributes(r *request) string {
	a := r.attributes()
	words := fmt.Sprintf("has %x mode %o owner %d:%d", a.has, a.mode, a.uid, a.gid)
	if a.mode&0o170000 != 0o040000 { // a directory's size is up to its history
		words += fmt.Sprintf(" size %d", a.size)
	}
	if a.mtime%1e6 == 0 { // set by the test
		words += fmt.Sprintf(" changed %d", a.mtime)
	}
	if a.atime < 1e9 && a.mode&0o170000 != 0o040000 { // likewise, and not read since
		words += fmt.Sprintf(" used %d", a.atime)
	}
	return words
}
