//go:build linux

package guestshell_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/berth-ssh/berth/internal/guestcmd"
)

// bin holds the built shell and all of its commands, as in the image.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "berth-shell-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(bin)
		guest := filepath.Join(bin, "berth-guest")
		cmd := exec.Command("go", "build", "-o", guest, "github.com/berth-ssh/berth/cmd/berth-guest")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s\n", err, out)
			return 1
		}
		_ = os.Symlink(guest, filepath.Join(bin, "sh"))
		_ = os.Symlink(guest, filepath.Join(bin, "bash"))
		for _, c := range guestcmd.Commands() {
			_ = os.Symlink(guest, filepath.Join(bin, c.Name))
		}
		return m.Run()
	}())
}

func environment() []string {
	return []string{"PATH=" + bin, "HOME=/tmp", "PS1=guest# ", "TERM=xterm", "LC_ALL=C"}
}

// Scripts do what the distribution's bash makes of them: standard output, exit
// code, and whether anything is said on standard error.
func TestLikeBash(t *testing.T) {
	for _, c := range []struct{ script, stdin string }{
		{script: "exit 3"},
		{script: "false"},
		{script: "echo a; false; echo $?"},
		{script: "for i in 1 2 3; do echo $i; done | tail -n 1"},
		{script: "cat <<X\n$HOME\nX"},
		{script: "x=$(echo a b); echo \"$x\" ${#x} ${x% *}"},
		{script: "sleep 0.05 & wait; echo $?"},
		{script: "kill -TERM $$; echo not reached"},
		{script: "(sh -c 'kill -KILL $$'; echo $?) 2>/dev/null"},
		{script: "/no/such/program"},
		{script: "nosuchprogram"},
		{script: "/tmp"},
		{script: "/etc/passwd"},
		{script: "echo out; echo err >&2"},
		{script: "echo a > $1; echo b >> $1; cat < $1"},
		{script: "cat", stdin: "from standard input\n"},
		{script: "read a b; echo $b; cat", stdin: "one two three\nrest\n"},
		{script: "f() { local x=1; echo $x $1; return 4; }; f z; echo $?"},
		{script: "set -e; false; echo not reached"},
		{script: "set -o pipefail; false | true"},
		{script: "trap 'echo bye' EXIT; exit 5"},
		{script: "case abc in a*) echo yes;; esac; [[ abc == *c ]] && echo too; ((1+1==2)) && echo $((6*7))"},
		{script: "cd /usr && pwd && cd - >/dev/null; umask 077; umask"},
		{script: "echo $0 $# $@"},
		{script: "exec echo replaced; echo not reached"},
		{script: "if"},
		{script: "echo {1..3} *nothing*"},
		{script: "a=1 env | grep '^a='; export b=2; env | grep '^b='"},
	} {
		t.Run(strings.ReplaceAll(c.script, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			run := func(shell string, env []string) string {
				cmd := exec.CommandContext(t.Context(), shell, "-c", c.script, "name", filepath.Join(t.TempDir(), "file"))
				cmd.Env = env
				var stdout, stderr bytes.Buffer
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
				cmd.Dir = "/"
				_ = cmd.Run()
				out := strings.ReplaceAll(stdout.String(), cmd.Args[len(cmd.Args)-1], "FILE")
				return fmt.Sprintf("%v, standard error: %v\n%s", cmd.ProcessState, stderr.Len() > 0, out)
			}
			want := run("/bin/bash", append(environment(), "PATH=/usr/bin:/bin"))
			if got := run(filepath.Join(bin, "sh"), environment()); got != want {
				t.Errorf("here: %s\nbash: %s", got, want)
			}
		})
	}
}

// Commands on standard input take from it what is theirs, and no byte more; and
// mean what they mean to bash.
func TestCommandsFromStandardInput(t *testing.T) {
	for _, script := range []string{
		"echo one\nread line\nfor the shell\nif true\nthen echo \"$line\"; fi\ncat\nfor cat\n",
		"cat\nhello",
		"echo one \\\n two\n\n# a comment\nexit 3",
		"cat <<X | cat\n1 \\\n2 $((1+2))\nX\ncat <<'X'\n\\\nX\n",
		"cat &\nwait\necho not for cat\n",
		"f() {\necho \"f\n$1\"\n}\nfor i in 1 2\ndo f $i; done && \nfalse",
		"trap 'echo bye $?' EXIT\n(exit 4)\n",
		"trap 'echo bye $?' EXIT\nexit 5\n",
		"set -e\nfalse\necho not reached\n",
		"echo one\necho two; if )\necho not reached\n",
		"echo 'never closed\n",
		"echo ${0##*/}; f() { echo \"${#0}\" | wc -l; }\nf\n",
		"exec cat\nhello\n",
	} {
		t.Run(strings.ReplaceAll(script, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			run := func(directory string) string {
				cmd := exec.CommandContext(t.Context(), filepath.Join(directory, "bash"))
				cmd.Env = environment()
				var stdout, stderr bytes.Buffer
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &stdout, &stderr
				_ = cmd.Run()
				return fmt.Sprintf("%v, standard error: %v\n%s", cmd.ProcessState, stderr.Len() > 0, stdout.String())
			}
			want := run("/bin")
			if got := run(bin); got != want {
				t.Errorf("here: %s\nbash: %s", got, want)
			}
		})
	}
}

// person is somebody at a terminal in which the shell runs.
type person struct {
	t      *testing.T
	cmd    *exec.Cmd
	screen *os.File

	mu   sync.Mutex
	all  string
	seen string // since the last expect
	gone chan struct{}
}

func sitDown(t *testing.T) *person {
	t.Helper()
	p := &person{t: t, cmd: exec.Command(filepath.Join(bin, "sh")), gone: make(chan struct{})}
	p.cmd.Env = environment()
	p.cmd.Dir = "/"
	var err error
	if p.screen, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.gone)
		b := make([]byte, 4096)
		for {
			n, err := p.screen.Read(b)
			p.mu.Lock()
			p.all += string(b[:n])
			p.seen += string(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.end()
		_ = p.cmd.Wait()
		<-p.gone
		_ = p.screen.Close()
	})
	p.expect("guest# ")
	return p
}

// end kills all that has been started at this terminal, which would be kept
// open by what is left in the background.
func (p *person) end() {
	for found := true; found; {
		found = false
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, stat := range stats {
			text, _ := os.ReadFile(stat)
			// proc(5): pid (name) state parent group session ...
			fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
			if len(fields) < 4 || fields[0] == "Z" || fields[3] != strconv.Itoa(p.cmd.Process.Pid) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
				found = true
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.screen.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits until the text has been seen, and forgets what came before it.
func (p *person) expect(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		_, rest, ok := strings.Cut(p.seen, text)
		if ok {
			p.seen = rest
		}
		seen := p.seen
		p.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%q does not come; what came is %q", text, seen)
		}
	}
}

// leaves waits for the shell's end.
func (p *person) leaves(code int) {
	p.t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
}

const (
	up    = "\x1b[A"
	left  = "\x1b[D"
	enter = "\r"
)

// A line can be edited, and comes again.
func TestLineEditing(t *testing.T) {
	for name, c := range map[string]struct{ keys, want string }{
		"left and backspace": {"echo abXc" + left + "\x7f" + enter, "\r\nabc\r\n"},
		"ctrl-a and ctrl-e":  {"cho on\x01e\x05e" + enter, "\r\none\r\n"},
		"ctrl-w":             {"echo one two\x17three" + enter, "\r\none three\r\n"},
		"ctrl-u":             {"rubbish\x15echo one" + enter, "\r\none\r\n"},
		"ctrl-k":             {"echo one two" + strings.Repeat(left, 4) + "\x0b" + enter, "\r\none\r\n"},
		"history":            {"echo once" + enter + up + enter, "\r\nonce\r\n"},
		"lines that go on":   {"for i in 1 2" + enter + "do echo =$i" + enter + "done" + enter, "\r\n> done\r\n=1\r\n=2\r\n"},
		"a line of two":      {"echo one \\" + enter + "two" + enter, "\r\n> two\r\none two\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := sitDown(t)
			p.types(c.keys)
			p.expect(c.want)
			if name == "history" {
				p.expect(c.want)
			}
			p.expect("guest# ")
			p.types("\x04")
			p.leaves(0)
		})
	}
}

// ctrl-c ends what is in the foreground, and never the shell.
func TestInterrupt(t *testing.T) {
	for name, c := range map[string]struct {
		line, ready string
		code        string
	}{
		"a program":          {"echo now; sleep 1000", "now\r\n", "130"},
		"a loop of builtins": {"echo now; while true; do :; done", "now\r\n", "130"},
		"a loop of programs": {"echo now; while true; do sleep 0.01; done", "now\r\n", "130"},
		"a pipeline":         {"echo now; cat | cat", "now\r\n", "130"},
		"a read":             {"echo now; read x", "now\r\n", "130"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := sitDown(t)
			p.types(c.line + enter)
			p.expect(c.ready)
			p.types("\x03")
			p.expect("guest# ")
			p.types("echo code $?" + enter)
			p.expect("\r\ncode " + c.code + "\r\n")
			p.types("exit 4" + enter)
			p.leaves(4)
		})
	}
	t.Run("a line", func(t *testing.T) {
		t.Parallel()
		p := sitDown(t)
		p.types("echo rubbish\x03")
		p.expect("^C\r\nguest# ")
		p.types("if true" + enter)
		p.expect("> ")
		p.types("\x03")
		p.expect("^C\r\nguest# ")
		p.types("echo fine $?" + enter)
		p.expect("\r\nfine 130\r\n")
	})
}

// What runs in the background goes on while other commands do, and ctrl-c is
// not for it.
func TestBackground(t *testing.T) {
	p := sitDown(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p.types("{ sh -c \"echo ready''.; cat " + fifo + "\"; echo and \"then\"; } &" + enter)
	p.expect("ready.") // and so out of ctrl-c's reach
	p.types("echo now; cat" + enter)
	p.expect("now\r\n")
	p.types("\x03")
	p.expect("guest# ")
	p.types("echo went \"on\" > " + fifo + "; wait $!; echo code $?" + enter)
	p.expect("went on\r\nand then\r\ncode 0\r\n")
}

// read says what it asks for before it waits, and hides what is to be hidden.
func TestRead(t *testing.T) {
	p := sitDown(t)
	p.types("read -p 'who: ' a b; read -rsp 'what: ' c; echo; echo \"[$a|$b|$c]\"" + enter)
	p.expect("\r\nwho: ")
	p.types("one two three" + enter)
	p.expect("what: ")
	p.types("sec\\ret$" + enter)
	p.expect("\r\n[one|two three|sec\\ret$]\r\n")
	p.mu.Lock()
	all := p.all
	p.mu.Unlock()
	if n := strings.Count(all, "sec\\ret$"); n != 1 {
		t.Errorf("the secret is seen %d times in %q", n, all)
	}
	p.expect("guest# ")
	p.types("read x; echo code $?" + enter)
	p.expect("code $?\r\n")
	p.types("\x04")
	p.expect("code 1\r\n")
}

// There is no job control, and ctrl-z does no harm.
func TestSuspend(t *testing.T) {
	p := sitDown(t)
	p.types("echo now; sleep 0.2; echo awake" + enter)
	p.expect("now\r\n")
	p.types("\x1a")
	p.expect("awake\r\n")
	p.expect("guest# ")
	p.types("\x1a" + "echo fine" + enter)
	p.expect("\r\nfine\r\n")
}

// The end of input ends the shell with the last exit code; and only there.
func TestEndOfInput(t *testing.T) {
	p := sitDown(t)
	p.types("echo now; cat" + enter)
	p.expect("now\r\n")
	p.types("words" + enter)
	p.expect("words\r\nwords\r\n")
	p.types("\x04")
	p.expect("guest# ")
	p.types("false" + enter)
	p.expect("guest# ")
	p.types("\x04")
	p.leaves(1)
}

// Programs see the terminal that they run in, as it is after the line.
func TestTerminalOfPrograms(t *testing.T) {
	p := sitDown(t)
	p.types("stty size; stty -a | grep -o -w icanon" + enter)
	p.expect("24 80\r\nicanon\r\n")
	if err := pty.Setsize(p.screen, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	p.expect("guest# ")
	p.types("stty size" + enter)
	p.expect("50 132\r\n")
	p.expect("guest# ")
	p.types("stty -echo; echo now; head -n 1; stty echo; echo again; cat" + enter)
	p.expect("\r\nnow\r\n")
	p.types("hidden" + enter)
	p.expect("hidden\r\nagain\r\n")
	p.types("shown" + enter)
	p.expect("shown\r\nshown\r\n")
}
