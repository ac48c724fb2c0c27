//go:build linux

package guestcmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func processCommands() []Command {
	return []Command{
		{Name: "env", Usage: "[-i] [-u NAME] [NAME=VALUE]... [COMMAND [ARG]...]", spec: "+iu:0",
			long: map[string]rune{"ignore-environment": 'i', "unset": 'u', "null": '0'}, usageCode: 125,
			Help: "Runs a command with a changed environment, or prints the environment.\n  -i       with an empty one\n  -u NAME  without NAME\n  -0       ends lines with NUL",
			run:  runEnv},
		{Name: "kill", Usage: "[-SIGNAL | -s SIGNAL] PID... | -l", raw: true,
			Help: "Sends a signal, TERM unless told, to processes; a negative PID is a process group.\n  -l  lists the signals",
			run:  runKill},
		{Name: "ps", Usage: "[-aAefx] [aux]", raw: true,
			Help: "Lists all processes. The options are accepted, and change nothing.",
			run:  runPS},
		{Name: "sleep", Usage: "NUMBER[smhd]...", spec: "",
			Help: "Waits: seconds, minutes, hours, days. Fractions are allowed.",
			run:  runSleep},
		{Name: "which", Usage: "[-a] NAME...", spec: "a",
			Help: "Prints where a program is found in PATH.\n  -a  all places",
			run:  runWhich},
	}
}

func runEnv(c *call) int {
	env := os.Environ()
	if c.opts.has('i') {
		env = nil
	}
	set := func(name string) {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	for _, name := range c.opts['u'] {
		set(name)
	}
	args := c.args
	for len(args) > 0 && strings.Contains(args[0], "=") {
		name, _, _ := strings.Cut(args[0], "=")
		set(name)
		env = append(env, args[0])
		args = args[1:]
	}
	if len(args) == 0 {
		end := "\n"
		if c.opts.has('0') {
			end = "\x00"
		}
		for _, v := range env {
			c.printf("%s%s", v, end)
		}
		return 0
	}
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = unix.Exec(path, args, env)
	}
	c.fail("%s: %s", args[0], startReason(err))
	return exitCode(err)
}

func runKill(c *call) int {
	signal, args := syscall.SIGTERM, c.args
	named := func(name string) (syscall.Signal, bool) {
		if n, err := strconv.Atoi(name); err == nil {
			return syscall.Signal(n), n >= 0 && n < 65
		}
		s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
		return s, s != 0
	}
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name := args[0][1:]
		args = args[1:]
		switch {
		case name == "l":
			for n := 1; n < 32; n++ {
				c.printf("%2d) %s\n", n, unix.SignalName(syscall.Signal(n)))
			}
			return 0
		case name == "s" || name == "n":
			if len(args) == 0 {
				return c.die("-%s needs a signal", name)
			}
			name, args = args[0], args[1:]
		case strings.HasPrefix(name, "s"):
			if _, ok := named(name); !ok {
				name = name[1:]
			}
		}
		var ok bool
		if signal, ok = named(name); !ok {
			return c.die("%s: no such signal", name)
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return c.die("no process named")
	}
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err != nil {
			c.fail("%s: not a process id", a)
			continue
		}
		if err := syscall.Kill(pid, signal); err != nil {
			c.fail("(%d) - %s", pid, reason(err))
		}
	}
	return c.code()
}

func runPS(c *call) int {
	for _, a := range c.args {
		if strings.Trim(a, "-aAefxuwlj") != "" {
			return c.die("unknown option %s", a)
		}
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return c.die("%v", err)
	}
	var pids []int
	for _, d := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	c.println("    PID USER     STAT COMMAND")
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d", pid)
		var owner unix.Stat_t
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil || unix.Stat(dir, &owner) != nil {
			continue // it has ended
		}
		// The name stands in parentheses and may hold anything (proc(5)).
		text := string(stat)
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		if open < 0 || end < open || len(text) < end+3 {
			continue
		}
		command := "[" + text[open+1:end] + "]"
		if line, err := os.ReadFile(dir + "/cmdline"); err == nil && len(line) > 0 {
			command = strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ")
		}
		c.printf("%7d %-8s %-4c %s\n", pid, userName(int(owner.Uid)), text[end+2], command)
	}
	return 0
}

func runSleep(c *call) int {
	if len(c.args) == 0 {
		return c.die("no time named")
	}
	var total time.Duration
	for _, a := range c.args {
		unit := time.Second
		number := a
		if n := len(a); n > 0 {
			if u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[a[n-1]]; ok {
				unit, number = u, a[:n-1]
			}
		}
		v, err := strconv.ParseFloat(number, 64)
		switch {
		case number == "infinity" || number == "inf":
			v = float64(1<<62) / float64(unit)
		case err != nil || v < 0:
			return c.die("invalid time interval '%s'", a)
		}
		total += time.Duration(min(v*float64(unit), 1<<62))
		if total < 0 {
			total = 1<<63 - 1
		}
	}
	time.Sleep(total)
	return 0
}

func runWhich(c *call) int {
	code := 0
	for _, name := range c.args {
		found := false
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path := filepath.Join(dir, name)
			if strings.Contains(name, "/") {
				path = name
			}
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 && (!found || c.opts.has('a')) {
				c.println(path)
				found = true
			}
			if strings.Contains(name, "/") {
				break
			}
		}
		if !found {
			code = 1
		}
	}
	return code
}
