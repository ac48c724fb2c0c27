//go:build linux

package guest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"github.com/berth-ssh/berth/agentproto"
)

// pipes are an agent's standard streams.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// serving starts an agent and connects to it.
func serving(t *testing.T) (*agentproto.Client, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(agent, "serve")
	return servingBy(t, cmd), cmd
}

// servingBy connects to the agent that a command becomes, whose last words are
// "serve".
func servingBy(t *testing.T, cmd *exec.Cmd) *agentproto.Client {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "OF_IMAGE=yes", "PATH=/usr/bin:/bin")
	connect := connectByPipes
	if overSocket {
		connect = connectBySocket
	}
	c, err := agentproto.Connect(t.Context(), connect(t, cmd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("the agent ended with %v: %s", err, stderr.String())
		}
	})
	return c
}

func connectByPipes(t *testing.T, cmd *exec.Cmd) io.ReadWriteCloser {
	t.Helper()
	// Not files, but pipes that Go copies: a Close ends what is under way.
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return pipes{out, in}
}

func connectBySocket(t *testing.T, cmd *exec.Cmd) io.ReadWriteCloser {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd.Args = append(cmd.Args, "-socket", l.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	return agentproto.NewSocket(conn)
}

// result is what a session has come to.
type result struct {
	stdout, stderr string
	exit           agentproto.Exit
}

func finish(t *testing.T, s *agentproto.Session, stdin string) result {
	t.Helper()
	go func() {
		_, _ = io.WriteString(s, stdin)
		_ = s.CloseWrite()
	}()
	var stdout, stderr []byte
	var both sync.WaitGroup
	both.Go(func() { stdout, _ = io.ReadAll(s.Stdout()) })
	both.Go(func() { stderr, _ = io.ReadAll(s.Stderr()) })
	both.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	exit, err := s.Wait(ctx)
	if err != nil {
		t.Errorf("no word on the end: %v", err)
	}
	_ = s.Close()
	return result{string(stdout), string(stderr), exit}
}

func begin(t *testing.T, c *agentproto.Client, what agentproto.Start) *agentproto.Session {
	t.Helper()
	s, err := c.Start(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServePrograms(t *testing.T) {
	c, _ := serving(t)
	type start = agentproto.Start
	bash := []string{"/bin/bash"}
	const signals = "grep -E '^Sig(Blk|Ign)' /proc/$$/status"
	ownSignals, err := exec.Command("/bin/bash", "-c", signals).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		what  start
		stdin string
		want  result
	}{
		{"exit code", start{Kind: agentproto.KindExec, Command: "exit 3"}, "", result{exit: agentproto.Exit{Code: 3}}},
		{"input", start{Kind: agentproto.KindExec, Command: "cat; echo end"}, "line\n", result{stdout: "line\nend\n"}},
		{"apart", start{Kind: agentproto.KindExec, Command: "echo out; echo err >&2"}, "", result{stdout: "out\n", stderr: "err\n"}},
		{"any bytes", start{Kind: agentproto.KindExec, Command: "printf '\xff\\0\n'", Shell: bash}, "", result{stdout: "\xff\x00\n"}},
		{"words", start{Kind: agentproto.KindArgv, Argv: []string{"printf", "%s|", "a b", "", "$x"}}, "", result{stdout: "a b||$x|"}},
		{"killed", start{Kind: agentproto.KindExec, Command: "kill -KILL $$"}, "", result{exit: agentproto.Exit{Signal: "KILL"}}},
		{"environment", start{Kind: agentproto.KindExec, Command: "echo $OF_IMAGE $OF_CLIENT $HOME $USER",
			Env: []string{"OF_CLIENT=too", "HOME=/nowhere"}}, "", result{stdout: "yes too /root root\n"}},
		{"directory", start{Kind: agentproto.KindExec, Command: "pwd", Dir: "/usr"}, "", result{stdout: "/usr\n"}},
		{"leader", start{Kind: agentproto.KindExec, Command: "[ $(cut -d ' ' -f 6 /proc/$$/stat) = $$ ]; echo $?", Shell: bash}, "", result{stdout: "0\n"}},
		{"another user", start{Kind: agentproto.KindExec, Command: "id -un; id -gn; echo $HOME; pwd", User: "daemon", Shell: bash}, "",
			result{stdout: "daemon\ndaemon\n/usr/sbin\n/usr/sbin\n"}},
		{"shell", start{Kind: agentproto.KindShell, Shell: []string{"/bin/sh"}}, "echo one\nexit 4\n", result{stdout: "one\n", exit: agentproto.Exit{Code: 4}}},
		{"nothing of the agent", start{Kind: agentproto.KindExec, Command: "ls /proc/$$/fd; " + signals, Shell: bash}, "",
			result{stdout: "0\n1\n2\n" + string(ownSignals)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.what.User != "" && os.Getuid() != 0 {
				t.Skip("LOUD: becoming another user needs root")
			}
			if got := finish(t, begin(t, c, test.what), test.stdin); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
	for name, what := range map[string]start{
		"not found":      {Kind: agentproto.KindArgv, Argv: []string{"/no/such/program"}},
		"not executable": {Kind: agentproto.KindArgv, Argv: []string{"/etc/passwd"}},
		"no shell":       {Kind: agentproto.KindShell, Shell: []string{"/no/such/shell"}},
		"no user":        {Kind: agentproto.KindExec, Command: "true", User: "nobody-of-that-name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Start(t.Context(), what)
			var refused *agentproto.Refusal
			wanted := agentproto.ReasonNotFound
			if name == "not executable" {
				wanted = agentproto.ReasonNotExecutable
			}
			if !errors.As(err, &refused) || refused.Reason != wanted || refused.Message == "" {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Hazard 8, and the terminal as the client has it (RFC 4254 section 8).
func TestServeTerminal(t *testing.T) {
	c, _ := serving(t)
	terminal := func() *agentproto.Terminal {
		return &agentproto.Terminal{Type: "xterm", Size: agentproto.Size{Columns: 101, Rows: 33, Width: 640, Height: 480},
			// VINTR is ctrl-g, no ECHO.
			Modes: "\x01\x00\x00\x00\x07" + "\x35\x00\x00\x00\x00" + "\x00"}
	}
	const look = "stty size; echo $TERM; tty; echo $SSH_TTY; stty -a | grep -o -e 'intr = [^;]*' -e '-echo\\>'"
	got := finish(t, begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Command: look, Terminal: terminal()}), "")
	lines := strings.Split(got.stdout, "\r\n")
	if len(lines) < 6 || lines[0] != "33 101" || lines[1] != "xterm" || !strings.HasPrefix(lines[2], "/dev/pts/") ||
		lines[3] != lines[2] || lines[4] != "intr = ^G" || lines[5] != "-echo" {
		t.Errorf("%q", lines)
	}
	t.Run("resize, signal and input", func(t *testing.T) {
		s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Terminal: terminal(),
			Command: "n=0; trap 'stty size; echo sized; n=$((n+1))' WINCH; trap 'echo usr1; n=$((n+1))' USR1; echo ready; " +
				"while [ $n -lt 2 ]; do :; done; read a; read b; echo $a$b; cat; exit 5"})
		out := &lineReader{s.Stdout()}
		out.expect(t, "ready")
		if err := s.Resize(t.Context(), agentproto.Size{Columns: 50, Rows: 10}); err != nil {
			t.Fatal(err)
		}
		out.expect(t, "10 50")
		out.expect(t, "sized") // stty has ended: the signal is for the whole group
		if err := s.Signal(t.Context(), "USR1"); err != nil {
			t.Fatal(err)
		}
		out.expect(t, "usr1")
		_, _ = io.WriteString(s, "one\ntwo\nrest")
		_ = s.CloseWrite()
		out.expect(t, "onetwo")
		rest, _ := io.ReadAll(s.Stdout())
		if exit, err := s.Wait(t.Context()); string(rest) != "rest" || err != nil || exit.Code != 5 {
			t.Errorf("%q, %+v, %v", rest, exit, err)
		}
		_ = s.Close()
	})
	t.Run("break", func(t *testing.T) {
		s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Terminal: terminal(), Command: "echo ready; sleep 1000"})
		(&lineReader{s.Stdout()}).expect(t, "ready")
		_ = s.Signal(t.Context(), "BREAK")
		if got := finish(t, s, ""); got.exit.Signal != "INT" && got.exit.Code != 130 {
			t.Errorf("%+v", got)
		}
	})
	// A program that has ended is not waited for on account of what it has
	// left in the background.
	t.Run("background", func(t *testing.T) {
		s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Terminal: terminal(), Command: "trap '' HUP; sleep 1000 & echo done"})
		if got := finish(t, s, ""); got.stdout != "done\r\n" || got.exit.Code != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// lineReader reads lines, byte by byte.
type lineReader struct{ r io.Reader }

func (l *lineReader) expect(t *testing.T, want string) {
	t.Helper()
	var line []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(line, []byte("\n")) {
		if _, err := io.ReadFull(l.r, b); err != nil {
			t.Fatalf("%q, then %v; want %q", line, err, want)
		}
		line = append(line, b...)
	}
	if got := strings.TrimRight(string(line), "\r\n"); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// alive says whether any process holds a word in its command line.
func alive(word string) bool {
	return exec.Command("pgrep", "-f", "--", word).Run() == nil
}

// Hazard 13: the end of a session, or of the server, ends its programs, their
// children, and those in other groups.
func TestServeHangup(t *testing.T) {
	for name, end := range map[string]func(c *agentproto.Client, s *agentproto.Session){
		"session":    func(_ *agentproto.Client, s *agentproto.Session) { _ = s.Close() },
		"connection": func(c *agentproto.Client, _ *agentproto.Session) { _ = c.Close() },
	} {
		for kind, terminal := range map[string]*agentproto.Terminal{"pipes": nil, "terminal": {}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				c, _ := serving(t)
				word := fmt.Sprint(31_000_000 + time.Now().UnixNano()%1_000_000)
				s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Shell: []string{"/bin/bash"}, Terminal: terminal,
					Command: "trap '' HUP TERM; set -m; sleep " + word + " & (trap '' HUP; sleep " + word + ") & echo ready; while :; do sleep 0.1; done"})
				(&lineReader{s.Stdout()}).expect(t, "ready")
				if !alive("sleep " + word) {
					t.Fatal("the programs don't run")
				}
				end(c, s)
				waitFor(t, "the programs' end", func() bool { return !alive("sleep " + word) })
			})
		}
	}
}

// There is one agent for each container: what it takes while nothing runs is what
// counts.
func TestServeIsSmall(t *testing.T) {
	c, cmd := serving(t)
	for range 3 {
		s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Command: "head -c 20000000 /dev/zero; cat"})
		if got := finish(t, s, strings.Repeat("x", 5_000_000)); len(got.stdout) != 25_000_000 {
			t.Fatalf("%d bytes came back", len(got.stdout))
		}
	}
	const limit = 6 << 10
	var resident int
	waitFor(t, "a small agent", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		_, _ = fmt.Sscan(rest, &resident)
		return resident > 0 && resident <= limit
	})
	t.Logf("%d KiB are resident", resident)
}

func TestServeSFTP(t *testing.T) {
	c, _ := serving(t)
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindSFTP})
	client, err := sftp.NewClientPipe(s.Stdout(), struct {
		io.Writer
		io.Closer
	}{s, closer(s.CloseWrite)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	f, err := client.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789"), 500_000)
	if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_ = client.Close()
	if got := finish(t, s, ""); got.exit != (agentproto.Exit{}) || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

type closer func() error

func (c closer) Close() error { return c() }

// A unix socket of the agent is its user's own, and gone with its listener.
func TestServeUnixSocket(t *testing.T) {
	c, _ := serving(t)
	path := filepath.Join(t.TempDir(), "s")
	at := agentproto.Address{Network: "unix", Path: path}
	l, err := c.Listen(t.Context(), "", at)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	dialled, err := c.Dial(t.Context(), "", at)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(dialled, "hello")
	_ = dialled.CloseWrite()
	if got, err := io.ReadAll(accepted); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = accepted.Close()
	_ = l.Close()
	waitFor(t, "the socket's end", func() bool { _, err := os.Stat(path); return errors.Is(err, os.ErrNotExist) })
}

// What is forwarded has the rights of its user, and no others.
func TestServeRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("LOUD: becoming another user needs root")
	}
	c, _ := serving(t)
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unix := func(name string) agentproto.Address {
		return agentproto.Address{Network: "unix", Path: filepath.Join(dir, name)}
	}
	l, err := c.Listen(t.Context(), "", unix("of-root"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var refused *agentproto.Refusal
	if _, err := c.Dial(t.Context(), "daemon", unix("of-root")); !errors.As(err, &refused) || !strings.Contains(refused.Message, "permission denied") {
		t.Errorf("daemon connects to root's socket: %v", err)
	}
	if _, err := c.Listen(t.Context(), "daemon", unix("of-daemon")); !errors.As(err, &refused) || !strings.Contains(refused.Message, "permission denied") {
		t.Errorf("daemon listens in root's directory: %v", err)
	}
	private, err := c.Listen(t.Context(), "daemon", agentproto.Address{Network: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("stat", "-c", "%U %a", private.At.Path, filepath.Dir(private.At.Path)).Output()
	if string(out) != "daemon 600\ndaemon 700\n" {
		t.Errorf("%q, %v", out, err)
	}
	if conn, err := c.Dial(t.Context(), "daemon", private.At); err != nil {
		t.Errorf("daemon does not get to its own socket: %v", err)
	} else {
		_ = conn.Close()
	}
	_ = private.Close()
	waitFor(t, "the directory's end", func() bool {
		_, err := os.Stat(filepath.Dir(private.At.Path))
		return errors.Is(err, os.ErrNotExist)
	})
	// The agent is still root itself.
	if got := finish(t, begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Command: "id -u; cat /proc/$PPID/task/*/status | grep ^Uid | sort -u"}), ""); got.stdout != "0\nUid:\t0\t0\t0\t0\n" {
		t.Errorf("the agent's threads: %q", got.stdout)
	}
}
