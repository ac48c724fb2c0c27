//go:build linux

package guest_test

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// agent is the built program.
var agent string

// overSocket says which way serving connects.
var overSocket bool

func TestMain(m *testing.M) {
	// Whoever started the tests may ignore signals, as shells do for what runs
	// in the background. What is caught here has its default in programs.
	ossignal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGPIPE)
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "berth-agent-")
		if err == nil {
			defer os.RemoveAll(dir)
			agent = filepath.Join(dir, "agent")
			err = build(agent, runtime.GOARCH)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// Over standard input and output, and over a socket.
		code := m.Run()
		overSocket = true
		if code = max(code, m.Run()); code == 0 {
			// What waits for the signals that are caught above is there for good.
			if err := goleak.Find(goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreTopFunction("os/signal.loop")); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		return code
	}())
}

func build(path, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "github.com/berth-ssh/berth/cmd/berth-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w: %s", err, out)
	}
	return nil
}

// run runs the agent to its end.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), agent, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

func TestCommandLine(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(notExecutable, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	badInterpreter := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(badInterpreter, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		stdin  string
		stdout string // "…" stands for anything
		stderr string
		code   int
	}{
		{args: nil, stderr: "…berth-agent console…", code: 2},
		{args: []string{"--help"}, stdout: "…wait-signal…", code: 0},
		{args: []string{"version"}, stdout: "berth-agent …", code: 0},
		{args: []string{"dance"}, stderr: "…unknown subcommand…", code: 2},
		{args: []string{"console", "--dance"}, stderr: "…-dance…", code: 2},
		{args: []string{"console"}, stderr: "…no program given…", code: 2},

		{args: []string{"console", "--", "sh", "-c", "echo $A$B; exit 3"}, stdout: "\n", code: 3},
		{args: []string{"console", "--env", "A=1", "--env=B=x=y", "--env", "A=2", "--", "sh", "-c", "echo $A$B"}, stdout: "2x=y\n"},
		{args: []string{"console", "--env", "A", "--", "true"}, stderr: "…NAME=VALUE…", code: 2},
		{args: []string{"console", "--env", "=1", "--", "true"}, stderr: "…NAME=VALUE…", code: 2},
		{args: []string{"console", "--env", "PATH=/nowhere", "--", "sh"}, stderr: "…sh: not found…", code: 127},
		{args: []string{"console", "--", "/no/such/program"}, stderr: "…not found…", code: 127},
		{args: []string{"console", "--", ""}, stderr: "…not found…", code: 127},
		{args: []string{"console", "--", notExecutable}, stderr: "…permission denied…", code: 126},
		{args: []string{"console", "--", "/tmp"}, stderr: "…is a directory…", code: 126},
		{args: []string{"console", "--", badInterpreter}, stderr: "…interpreter…", code: 127},

		// The start byte and nothing else is taken from the program's input.
		{args: []string{"console", "--wait", "--", "cat"}, stdin: "\x00rest", stdout: "rest"},
		{args: []string{"console", "--wait", "--", "cat"}, stdin: "\n\n", stdout: "\n"},
		{args: []string{"console", "--wait", "--", "cat"}, stdin: "x", stderr: "…'x'…", code: 1},
		{args: []string{"console", "--wait", "--", "cat"}, stderr: "…standard input ended…", code: 1},

		{args: []string{"signal", "--pid", "1"}, stderr: "…--signal NAME…", code: 2},
		{args: []string{"signal", "--pid", "-1", "--signal", "TERM"}, stderr: "…--pid N…", code: 2},
		{args: []string{"signal", "--pid", "1", "--signal", "SIGTERM"}, stderr: "…not a signal name…", code: 2},
		{args: []string{"signal", "--pid", "4194304", "--signal", "TERM"}, stderr: "…no such process…", code: 1},
		{args: []string{"wait-signal"}, stderr: "…at least one…", code: 2},
		{args: []string{"wait-signal", "--signal", "KILL"}, stderr: "…KILL…", code: 2},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(t, c.stdin, c.args...)
			if !matches(stdout, c.stdout) || !matches(stderr, c.stderr) || code != c.code {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout, stderr, c.code, c.stdout, c.stderr)
			}
			if strings.Count(stderr, "\n") > 1 && len(c.args) > 0 {
				t.Errorf("more than a line: %q", stderr)
			}
		})
	}
}

// matches compares with a pattern in which "…" stands for anything.
func matches(s, pattern string) bool {
	parts := strings.Split(pattern, "…")
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	for _, p := range parts {
		_, rest, ok := strings.Cut(s, p)
		if !ok {
			return false
		}
		s = rest
	}
	return s == "" || parts[len(parts)-1] == "" && len(parts) > 1
}

// The process id is the program's own, four bytes, little endian, before its
// output.
func TestProcessID(t *testing.T) {
	stdout, _, code := run(t, "\x00", "console", "--wait", "--pid", "--", "sh", "-c", "echo $$")
	if len(stdout) < 5 || code != 0 {
		t.Fatalf("code %d, output %q", code, stdout)
	}
	pid := binary.LittleEndian.Uint32([]byte(stdout))
	if want := fmt.Sprintln(pid); stdout[4:] != want {
		t.Errorf("said %s, is %s", want, stdout[4:])
	}
}

// A program gets signals, mask and limits as if it had been started without the
// agent, whose runtime has its own ideas of them.
func TestProgramInheritsNothingOfTheRuntime(t *testing.T) {
	const look = `grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ulimit -n`
	direct, err := exec.Command("sh", "-c", look).Output()
	if err != nil {
		t.Fatal(err)
	}
	through, _, _ := run(t, "", "console", "--", "sh", "-c", look)
	if through != string(direct) {
		t.Errorf("through the agent:\n%swithout:\n%s", through, direct)
	}
}

// onTerminal starts a command on a new terminal of no size.
func onTerminal(t *testing.T, args ...string) *os.File {
	t.Helper()
	cmd := exec.Command(agent, args...)
	screen, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = screen.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return screen
}

// Hazard 8: a terminal without a size is waited for, so that the program's
// first question has the right answer; and a byte that is only for the agent
// is not echoed.
func TestTerminal(t *testing.T) {
	screen := onTerminal(t, "console", "--wait", "--", "sh", "-c", "stty size; read line; echo got $line")
	waitFor(t, "the agent to take the terminal", func() bool {
		mode, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		return err == nil && mode.Lflag&unix.ECHO == 0
	})
	if _, err := screen.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	// Long enough for a program that does not wait for the size to ask.
	time.Sleep(50 * time.Millisecond)
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 33, Cols: 101}); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(screen)
	expect := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != want+"\r\n" {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	expect("33 101")
	if _, err := screen.WriteString("words\n"); err != nil {
		t.Fatal(err)
	}
	expect("words") // the echo, since the terminal is as it was
	expect("got words")
}

// start starts a shell command as the leader of a group, and returns when it
// has written a line.
func start(t *testing.T, script string) (pid int, output *io.PipeReader, ended <-chan error) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w := io.Pipe()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = w.Close()
		done <- err
	}()
	t.Cleanup(func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	if _, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, r, done
}

// Each signal of RFC 4254 reaches the program, and the rest of its group.
func TestSignal(t *testing.T) {
	for name, number := range map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
		"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The output is open until the whole group has ended. (Of a
			// background job a shell keeps INT and QUIT away.)
			pid, output, ended := start(t, "echo ready; sleep 1000 | sleep 1000 >&2")
			go func() { _, _ = io.Copy(io.Discard, output) }()
			if _, stderr, code := run(t, "", "signal", "--pid", fmt.Sprint(pid), "--signal", name); code != 0 {
				t.Fatalf("code %d, %s", code, stderr)
			}
			var exit *exec.ExitError
			if err := <-ended; !errors.As(err, &exit) {
				t.Fatalf("ended with %v", err)
			}
			if got := exit.Sys().(syscall.WaitStatus).Signal(); int(got) != number {
				t.Errorf("ended by signal %d, want %d", got, number)
			}
		})
	}
}

// Hazard 13: a stopped program hears of its end, too.
func TestSignalContinues(t *testing.T) {
	for _, name := range []string{"HUP", "TERM"} {
		pid, output, ended := start(t, "trap 'echo bye; exit 5' "+name+"; echo ready; while :; do sleep 0.01; done")
		if err := unix.Kill(-pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		said := make(chan []byte, 1)
		go func() { b, _ := io.ReadAll(output); said <- b }()
		run(t, "", "signal", "--pid", fmt.Sprint(pid), "--signal", name)
		err := <-ended
		var exit *exec.ExitError
		if got := <-said; string(got) != "bye\n" || !errors.As(err, &exit) || exit.ExitCode() != 5 {
			t.Errorf("%s: said %q, ended with %v", name, got, err)
		}
	}
}

// As a container's first process it ends by its signals only, and reaps what
// is left to it.
func TestWaitSignal(t *testing.T) {
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", agent,
		"wait-signal", "--signal", "INT", "--signal", "TERM", "--message", "bye")
	if os.Getuid() != 0 {
		cmd.Args = append([]string{"unshare", "--user", "--map-root-user"}, cmd.Args[1:]...)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	init := child(t, cmd.Process.Pid)
	waitFor(t, "the agent", func() bool { return strings.HasPrefix(program(init), agent) })

	// An orphan: its parent ends at once, and it soon after.
	enter := exec.Command("nsenter", "--target", fmt.Sprint(init), "--pid", "--mount", "sh", "-c", "sleep 0.05 & exit 0")
	if o, err := enter.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, o)
	}
	waitFor(t, "no zombie", func() bool { return len(children(init)) == 0 })

	if err := unix.Kill(init, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "bye\n" {
		t.Errorf("ended with %v, said %q", err, out.String())
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func program(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(name)
}

func children(pid int) []string {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return strings.Fields(string(list))
}

func child(t *testing.T, pid int) (id int) {
	t.Helper()
	waitFor(t, "a child", func() bool { return len(children(pid)) == 1 })
	_, _ = fmt.Sscan(children(pid)[0], &id)
	return id
}

// What is written is there wholly or not at all, for its owner only.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, content := range []string{"first", "", strings.Repeat("x", 1<<20)} {
		if _, stderr, code := run(t, content, "write-file", path); code != 0 {
			t.Fatalf("code %d, %s", code, stderr)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(content))
		}
	}
	for _, bad := range []string{dir, filepath.Join(dir, "no", "such", "directory"), ""} {
		if _, stderr, code := run(t, "x", "write-file", bad); code == 0 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: code %d, %q", bad, code, stderr)
		}
	}
	// An input that breaks off leaves the old content, and nothing beside it.
	cmd := exec.Command("sh", "-c", `{ echo half; sleep 1000; } | { "$0" write-file "$1"; }`, agent, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the new file", func() bool { return len(entries(t, dir)) == 2 })
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	_ = cmd.Wait()
	if got, _ := os.ReadFile(path); len(got) != 1<<20 {
		t.Errorf("the old content is gone: %d bytes", len(got))
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// It runs in images that hold nothing else.
func TestStatic(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(t.TempDir(), arch)
		if err := build(path, arch); err != nil {
			t.Fatal(err)
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: needs a loader: %v", arch, p.Type)
			}
		}
		_ = f.Close()
	}
}
