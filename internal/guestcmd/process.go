//go:build linux

package guestcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func processCommands() []Command {
	return []Command{
		{Name: "ps", Usage: "[-efAaux] [-o COLUMN,...] [-p PID,...]", raw: true,
			Help: "Lists processes: those of the own terminal, or all with -e, -A, ax or aux.\n  -f       in full: user, parent, start, command line\n  -o LIST  these columns: pid ppid pgid sid user tty stat rss vsz time comm args\n  -p LIST  these processes",
			run:  runPS},
		{Name: "kill", Usage: "[-SIGNAL | -s SIGNAL] PID... | -l", raw: true,
			Help: "Sends a signal, TERM if none is given, to processes; to a group if PID is\nnegative.\n  -l  lists the signals",
			run:  runKill},
		{Name: "sleep", Usage: "NUMBER[smhd]...", spec: "",
			Help: "Waits for so many seconds; fractions are fine. m, h, d mean minutes, hours, days.",
			run:  runSleep},
		{Name: "env", Usage: "[-i0] [-u NAME] [NAME=VALUE]... [COMMAND [ARG]...]", spec: "+i0u:C:",
			long: map[string]rune{"ignore-environment": 'i', "unset": 'u', "null": '0', "chdir": 'C'},
			Help: "Runs a command with a changed environment, or prints the environment.\n  -i       begins with an empty one\n  -u NAME  without NAME\n  -C DIR   in DIR\n  -0       ends lines with NUL",
			run:  runEnv},
		{Name: "printenv", Usage: "[NAME]...", spec: "",
			Help: "Prints the environment, or the values of the named variables.",
			run:  runPrintenv},
		{Name: "nohup", Usage: "COMMAND [ARG]...", spec: "+",
			Help: "Runs a command that a hang-up doesn't end. Output to a terminal goes to nohup.out.",
			run:  runNohup},
		{Name: "timeout", Usage: "[-s SIGNAL] [-k DURATION] DURATION COMMAND [ARG]...", spec: "+s:k:", usageCode: 125,
			long: map[string]rune{"signal": 's', "kill-after": 'k'},
			Help: "Runs a command for so long at most; ends with 124 if that was not enough.\n  -s SIGNAL    how to stop it; TERM if not given\n  -k DURATION  kills it so long after that",
			run:  runTimeout},
		{Name: "which", Usage: "[-a] COMMAND...", spec: "a",
			Help: "Prints where commands are found in PATH.\n  -a  all places",
			run:  runWhich},
		{Name: "nproc", Usage: "[--all]", spec: "A", long: map[string]rune{"all": 'A'},
			Help: "Prints the number of processors.",
			run: func(c *call) int {
				c.println(runtime.NumCPU())
				return 0
			}},
	}
}

// ParseSignal parses a number or a name with or without SIG. Zero, which only
// asks whether a process is there, is a signal too.
func ParseSignal(s string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return syscall.Signal(n), n >= 0 && n < 65
	}
	name := strings.ToUpper(s)
	if name == "EXIT" {
		return 0, true
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	sig := unix.SignalNum(name)
	return sig, sig != 0
}

func runKill(c *call) int {
	sig := syscall.SIGTERM
	args := c.args
	if len(args) > 0 && (args[0] == "-l" || args[0] == "-L") {
		for _, a := range args[1:] {
			n, ok := ParseSignal(a)
			switch {
			case !ok:
				c.fail("%s: invalid signal", a)
			case strings.Trim(a, "0123456789") == "":
				c.println(strings.TrimPrefix(unix.SignalName(n&127), "SIG"))
			default:
				c.println(int(n))
			}
		}
		if len(args) == 1 {
			for n := syscall.Signal(1); n < 32; n++ {
				c.printf("%2d %s\n", int(n), strings.TrimPrefix(unix.SignalName(n), "SIG"))
			}
		}
		return c.code()
	}
	if len(args) > 1 && (args[0] == "-s" || args[0] == "-n") {
		var ok bool
		if sig, ok = ParseSignal(args[1]); !ok {
			return c.die("%s: invalid signal specification", args[1])
		}
		args = args[2:]
	} else if len(args) > 1 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		var ok bool
		if sig, ok = ParseSignal(args[0][1:]); !ok {
			return c.die("%s: invalid signal specification", args[0][1:])
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		c.fail("no process given; kill --help tells more")
		return 2
	}
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err != nil {
			c.fail("%s: arguments must be process ids", a)
			continue
		}
		if err := unix.Kill(pid, sig); err != nil {
			c.fail("(%d) - %s", pid, reason(err))
		}
	}
	return c.code()
}

// parseDuration parses seconds with a fraction and one of s, m, h, d.
func parseDuration(s string) (time.Duration, bool) {
	unit := time.Second
	if s != "" {
		switch s[len(s)-1] {
		case 's':
			s = s[:len(s)-1]
		case 'm':
			unit, s = time.Minute, s[:len(s)-1]
		case 'h':
			unit, s = time.Hour, s[:len(s)-1]
		case 'd':
			unit, s = 24*time.Hour, s[:len(s)-1]
		}
	}
	if s == "infinity" || s == "inf" {
		return 1<<63 - 1, true
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 || n != n {
		return 0, false
	}
	if n*float64(unit) > float64(1<<62) {
		return 1<<63 - 1, true
	}
	return time.Duration(n * float64(unit)), true
}

func runSleep(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	total := time.Duration(0)
	for _, a := range c.args {
		d, ok := parseDuration(a)
		if !ok {
			return c.die("invalid time interval '%s'", a)
		}
		if total += d; total < 0 {
			total = 1<<63 - 1
		}
	}
	time.Sleep(total)
	return 0
}

func runEnv(c *call) int {
	env := os.Environ()
	if c.opts.has('i') {
		env = nil
	}
	remove := func(name string) {
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	}
	for _, name := range c.opts['u'] {
		remove(name)
	}
	args := c.args
	if len(args) > 0 && args[0] == "-" {
		env, args = nil, args[1:]
	}
	for len(args) > 0 {
		name, _, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		remove(name)
		env, args = append(env, args[0]), args[1:]
	}
	if dir := c.opts.value('C', ""); dir != "" {
		if err := os.Chdir(dir); err != nil {
			c.fail("cannot change directory to '%s': %s", dir, reason(err))
			return 125
		}
	}
	if len(args) == 0 {
		end := "\n"
		if c.opts.has('0') {
			end = "\x00"
		}
		for _, e := range env {
			c.printf("%s%s", e, end)
		}
		return 0
	}
	for _, e := range env { // PATH of the new environment decides
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			os.Setenv("PATH", p)
		}
	}
	return c.become(args, env)
}

// become replaces the process with a program.
func (c *call) become(argv, env []string) int {
	path, err := exec.LookPath(argv[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if err == nil {
		c.out.Flush()
		err = syscall.Exec(path, argv, env)
	}
	c.fail("'%s': %s", argv[0], startReason(err))
	return exitCode(err)
}

func runPrintenv(c *call) int {
	if len(c.args) == 0 {
		for _, e := range os.Environ() {
			c.println(e)
		}
		return 0
	}
	code := 0
	for _, name := range c.args {
		if v, ok := os.LookupEnv(name); ok {
			c.println(v)
		} else {
			code = 1
		}
	}
	return code
}

func runNohup(c *call) int {
	if len(c.args) == 0 {
		c.fail("missing operand")
		return 125
	}
	ignoreSignal(syscall.SIGHUP)
	if isTerminal(os.Stdout) {
		f, err := os.OpenFile("nohup.out", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			c.fail("nohup.out: %s", reason(err))
			return 125
		}
		fmt.Fprintln(os.Stderr, "nohup: appending output to 'nohup.out'")
		unix.Dup3(int(f.Fd()), 1, 0)
	}
	if isTerminal(os.Stderr) {
		unix.Dup3(1, 2, 0)
	}
	return c.become(c.args, os.Environ())
}

func runTimeout(c *call) int {
	if len(c.args) < 2 {
		c.fail("missing operand")
		return 125
	}
	limit, ok := parseDuration(c.args[0])
	sig, okSignal := ParseSignal(c.opts.value('s', "TERM"))
	after, okAfter := parseDuration(c.opts.value('k', "0"))
	if !ok || !okSignal || !okAfter {
		c.fail("invalid duration or signal; timeout --help tells more")
		return 125
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.args[1], c.args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(sig) }
	cmd.WaitDelay = after
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && cmd.ProcessState != nil:
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
			return 137
		}
		return 124
	case err != nil && !errors.As(err, &exit):
		c.fail("'%s': %s", c.args[1], startReason(err))
	}
	return exitCode(err)
}

func runWhich(c *call) int {
	code := 0
	for _, name := range c.args {
		found := false
		dirs := filepath.SplitList(os.Getenv("PATH"))
		if strings.ContainsRune(name, '/') {
			dirs = []string{""}
		}
		for _, dir := range dirs {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) || err != nil || info.IsDir() || unix.Access(path, unix.X_OK) != nil {
				continue
			}
			if found && !c.opts.has('a') {
				break
			}
			found = true
			c.println(path)
		}
		if !found {
			code = 1
		}
	}
	return code
}
