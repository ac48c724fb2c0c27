package parity

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testsshd"
)

// environment is the same for the sessions of all targets.
var environment = []string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PS1=guest# "}

// engineWays cannot tell a killed program from one that exits with 128 and the
// signal's number: the engine doesn't.
var engineWays = []string{"none", "image"}

func killed(code string) []difference {
	return []difference{{where: engineWays, part: "exit", want: code,
		because: "an engine reports only a number for a program that was killed"}}
}

// noLogin is what the engine makes of a shell: a program like any other.
var noLogin = []difference{
	{where: engineWays, part: "command stdout", because: "the engine knows no accounts, and the terminal has its name later",
		want: `"/root /bin/bash dumb bash\r\nlogin_shell    \toff\r\n/root\r\n0022\r\n0\r\n4\r\n3\r\n"`},
	{where: engineWays, part: "command exit", want: "1", because: "that is the comparison with SSH_TTY"},
	{where: []string{"none/connection", "image/connection"}, part: "shell stdout", because: "shellCommand is no login",
		want: `"/root /bin/bash dumb bash\nlogin_shell    \toff\n/root\n0022\n0\n4\n3\n"`},
	{where: []string{"none/session", "image/session"}, part: "shell stdout", because: "the container's command is no login",
		want: `"/root /bin/bash dumb /bin/bash\nlogin_shell    \toff\n/root\n0022\n0\n4\n3\n"`},
}

// cases are what a client's user does.
var cases = []struct {
	name  string
	do    func(c *client) outcome
	known []difference
}{
	{"true", func(c *client) outcome { return c.run("true") }, nil},
	{"exit 3", func(c *client) outcome { return c.run("exit 3") }, nil},
	{"exit 255", func(c *client) outcome { return c.run("exit 255") }, nil},
	{"quotes", func(c *client) outcome { return c.run(`echo "a  b" 'c"d' \$HOME; echo zwei ü`) }, nil},
	{"newlines", func(c *client) outcome { return c.run("echo one\necho two\n") }, nil},
	{"blank", func(c *client) outcome { return c.run(" ") }, nil},
	{"100 KB of arguments", func(c *client) outcome { return c.run("printf %s " + strings.Repeat("x", 100<<10) + " | wc -c") }, nil},
	// Hazard 12.
	{"command that begins with a slash", func(c *client) outcome { return c.run("/bin/echo one && echo $((1+1))") }, nil},
	// Hazard 1.
	{"end of input is not the end", func(c *client) outcome { return c.run("sleep 1; echo done; exit 3") }, nil},
	{"half-close", func(c *client) outcome {
		return c.do(call{command: []string{"cat; echo end"}, stdin: strings.NewReader("line\n")})
	}, nil},
	{"terminal forbidden", func(c *client) outcome {
		return c.do(call{options: []string{"-T"}, command: []string{"tty; echo $-"}, stdin: strings.NewReader("")})
	}, nil},
	{"no input", func(c *client) outcome {
		return c.do(call{options: []string{"-n"}, command: []string{"cat; exit 4"}, stdin: strings.NewReader("not for them\n")})
	}, nil},
	{"pipes on both sides", func(c *client) outcome {
		return c.do(call{command: []string{"sort -rn | head -n 3; exit 2"}, stdin: bytes.NewReader(pattern(100_000))})
	}, nil},
	{"1 MB through cat", func(c *client) outcome {
		return c.do(call{command: []string{"cat"}, stdin: bytes.NewReader(pattern(1 << 20))})
	}, nil},
	{"input that is not read", func(c *client) outcome {
		return c.do(call{command: []string{"exit 4"}, stdin: bytes.NewReader(pattern(1 << 20))})
	}, nil},
	{"stderr apart", func(c *client) outcome { return c.run("echo out; echo err >&2; exit 1") }, nil},
	// Hazard 3.
	{"output of a program that ends at once", func(c *client) outcome {
		return c.run("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 9")
	}, nil},
	{"program that closes its output", func(c *client) outcome {
		return c.run("echo before; exec >&- 2>&-; sleep 1; exit 5")
	}, nil},
	// Hazard 10.
	{"killed", func(c *client) outcome { return c.run("kill -KILL $$") }, killed("137")},
	{"terminated", func(c *client) outcome { return c.run("kill -TERM $$") }, killed("143")},
	{"not found", func(c *client) outcome { return c.run("/no/such/program") }, nil},
	{"not executable", func(c *client) outcome { return c.run("/etc/passwd") }, nil},
	{"SendEnv", func(c *client) outcome {
		return c.do(call{options: []string{"-o", "SendEnv=BERTH_*"}, env: []string{"BERTH_X=a b", "OTHER=no"},
			command: []string{`echo "$BERTH_X|$OTHER"`}})
	}, nil},
	{"what a login finds", func(c *client) outcome {
		const look = `echo $HOME $USER $LOGNAME $SHELL $TERM $0; shopt login_shell; pwd; umask; ulimit -c; ` +
			`set -- $SSH_CONNECTION; echo $#; set -- $SSH_CLIENT; echo $#; [ "$(tty)" = "$SSH_TTY" ] && echo terminal; exit`
		return append(
			c.do(call{options: []string{"-tt"}, command: []string{look}, stdin: c.openInput()}).prefix("command"),
			c.do(call{stdin: strings.NewReader(look)}).prefix("shell")...)
	}, noLogin},
	{"script on standard input", func(c *client) outcome {
		return c.do(call{options: []string{"-T"}, stdin: strings.NewReader("echo one\nexit 6\n")})
	}, nil},
	{"terminal", func(c *client) outcome {
		return c.do(call{options: []string{"-tt"}, command: []string{"tty >/dev/null && echo $TERM; echo err >&2; exit 7"}})
	}, nil},
	// Hazard 8: also for the very first program; but that one may be faster than
	// an engine before API 1.42 takes the terminal's size, where there is no
	// agent to wait for it.
	{"size of the terminal", func(c *client) outcome {
		command := c.whenSized() + "stty size"
		var all outcome
		for _, size := range [][2]int{{80, 24}, {132, 43}, {250, 60}} {
			term := c.openSized(size[0], size[1], []string{"-t"}, command)
			term.shot("screen", endMark)
			all = append(all, term.end().prefix(fmt.Sprint(size))...)
		}
		return all
	}, nil},
	{"raw terminal", func(c *client) outcome {
		// An end of input would be echoed as the character that a raw terminal
		// takes it for.
		return c.do(call{options: []string{"-tt"}, stdin: c.openInput(),
			command: []string{"stty raw; stty -a | grep -o -e -icanon; stty sane; stty -a | grep -o icanon"}})
	}, nil},
	{"scp", func(c *client) outcome { return c.copies() }, nil},
	{"scp in its old protocol", func(c *client) outcome { return c.copies("-O") }, nil},
	{"master", func(c *client) outcome {
		options := c.master()
		return parallel(10, func(i int) outcome {
			return c.do(call{options: options, command: []string{"cat; exit 2"}, stdin: bytes.NewReader(pattern(10_000 * i))})
		})
	}, nil},
	{"ctrl-c, ctrl-z, ctrl-p and ctrl-d", func(c *client) outcome {
		term := c.open([]string{"-t"}, "PS1='guest# ' exec bash --norc -i")
		term.prompt()
		// What is typed before a program runs is lost with its ctrl-c.
		term.line("echo running; sleep 100")
		term.says("running", 1)
		term.press("C-c")
		term.wait("^C")
		term.prompt()
		term.line("echo code $?")
		term.says("code 130", 1)
		term.line("echo running; sleep 100")
		term.says("running", 2)
		term.press("C-z")
		term.wait("Stopped")
		term.prompt()
		term.line("kill %1; wait; clear; echo ready")
		term.says("ready", 1)
		term.prompt()
		term.line("echo recalled")
		term.says("recalled", 1)
		term.prompt()
		term.press("C-p", "Enter")
		term.says("recalled", 2)
		term.prompt()
		term.press("C-d")
		return term.end()
	}, nil},
	{"full-screen program, resized", func(c *client) outcome {
		term := c.open([]string{"-t"}, c.whenSized()+"seq 500 > /tmp/numbers; exec less /tmp/numbers")
		term.shot("first", "23")
		term.resize(60, 12)
		term.shot("resized", ":") // less drops a key that comes at the same time
		term.press("G")
		term.shot("smaller", "500", "(END)")
		term.press("q")
		return term.end()
	}, nil},
	{"vim", func(c *client) outcome {
		term := c.open([]string{"-t"}, `printf 'int main(void)\n{\n\treturn 0; // Grüße\n}\n' > /tmp/vim.c; exec vim /tmp/vim.c`)
		term.wait("int main", "1,1")
		term.press("C-l") // a size that comes after the start wipes the last line
		term.gone("4L, 41B")
		term.shot("opened", "int main", "1,1")
		term.press("G")
		term.wait("4,1")
		term.press("o")
		term.wait("-- INSERT --")
		term.typed("// änderung, a line that is so long that it does not fit into the width of this terminal")
		term.shot("typed", "\nterminal", "-- INSERT --")
		term.press("Escape")
		term.gone("-- INSERT --")
		term.line(":set number | vsplit")
		term.shot("split", "1 int main", "|")
		term.resize(100, 30)
		term.shot("resized", "1 int main")
		term.press("C-w", "w")
		term.line(":%s/t/TT/g")
		term.shot("changed", "inTT main", "substitutions")
		term.press("u")
		term.wait("before #")
		term.press("C-l") // the message has a time in it
		term.gone("before #")
		term.shot("undone", "1 int main")
		term.line(":wqa")
		return term.end()
	}, nil},
	{"tmux in tmux", func(c *client) outcome {
		term := c.open([]string{"-t"}, lines(
			`printf '%s\n' 'set -g status-right ""' 'set -g automatic-rename off' > /tmp/tmux.conf`,
			`printf '%s\n' "set -g default-command \"PS1='guest# ' exec bash --norc\"" >> /tmp/tmux.conf`,
			`exec tmux -u -f /tmp/tmux.conf new-session -s inner -n first`))
		term.wait("[inner]")
		term.prompt()
		term.line("clear; echo upper ü")
		term.says("upper ü", 1)
		term.press("C-b", `"`)
		term.wait("─────")
		term.prompt()
		term.line("seq 100; echo lower")
		term.shot("panes", "upper ü", "\nlower")
		term.press("C-b", "[")
		term.wait("[0/92]")
		term.press("PPage")
		term.gone("[0/92]")
		term.shot("scrolled", "/92]")
		term.press("q")
		term.gone("/92]")
		term.resize(100, 30)
		term.shot("resized", "upper ü", "\nlower")
		term.press("C-b", "c")
		term.wait("1:")
		term.gone("upper ü")
		term.prompt()
		term.line("clear; echo second")
		term.says("second", 1)
		term.shot("another window", "second")
		term.press("C-b", "d")
		return term.end()
	}, nil},
	{"paste", func(c *client) outcome {
		term := c.open([]string{"-t"}, "stty -echo; echo ready; head -n 100 | md5sum")
		term.wait("ready")
		term.paste(strings.Repeat("0123456789 abcdefghijklmnopqrstuvwxyz\n", 100))
		term.shot("sum", "  -")
		return term.end()
	}, nil},
	{"slow reader", func(c *client) outcome {
		h := sha256.New()
		o := c.do(call{command: []string{"seq 500000; exit 8"}, stdout: slowly{h}})
		return append(o, part{"hash", fmt.Sprintf("%x", h.Sum(nil))})
	}, nil},
}

// Berth's users see what the users of OpenSSH's sshd see.
func TestParity(t *testing.T) {
	guest := testguest.WithAgent(t, testguest.Debian(t))
	server := testsshd.StartIn(t, guest, environment)
	sshd := target{"sshd", server.ClientOptions(), server.Destination()}
	again := testsshd.StartIn(t, guest, environment)
	targets := []target{{"sshd again", again.ClientOptions(), again.Destination()}}
	for _, agent := range []string{"none", "image", "inject"} {
		for _, mode := range []string{"connection", "session"} {
			targets = append(targets, startBerth(t, guest, agent, mode, environment))
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.do(&client{t: t, target: sshd})
			for _, target := range targets {
				t.Run(target.name, func(t *testing.T) {
					got := c.do(&client{t: t, target: target, reference: want})
					for _, wrong := range compare(target.name, want, got, c.known) {
						t.Error(wrong)
					}
				})
			}
		})
	}
}
