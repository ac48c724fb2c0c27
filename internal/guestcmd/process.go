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

// process is what /proc tells about a process.
type process struct {
	pid, ppid, pgid, sid, tty int
	uid                       int
	state                     string
	comm                      string
	args                      []string
	rss, vsz                  int64 // KB
	cpu                       time.Duration
	started                   time.Time
}

// userHZ is the unit of times in /proc: 1/100 s on every architecture we have.
const userHZ = 100

func readProcess(pid int, boot time.Time) (process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	p := process{pid: pid}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, err
	}
	// The name may hold spaces and parentheses; the last one ends it.
	text := string(stat)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	p.comm = text[open+1 : end]
	f := strings.Fields(text[end+1:])
	if len(f) < 22 {
		return p, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	n := func(i int) int64 { v, _ := strconv.ParseInt(f[i], 10, 64); return v }
	p.state = f[0]
	p.ppid, p.pgid, p.sid, p.tty = int(n(1)), int(n(2)), int(n(3)), int(n(4))
	p.cpu = time.Duration(n(11)+n(12)) * time.Second / userHZ
	p.started = boot.Add(time.Duration(n(19)) * time.Second / userHZ)
	p.vsz = n(20) / 1024
	p.rss = n(21) * int64(os.Getpagesize()) / 1024
	if p.pid == p.sid {
		p.state += "s"
	}
	if cmdline, err := os.ReadFile(dir + "/cmdline"); err == nil && len(cmdline) > 0 {
		p.args = strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	}
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*unixStat); ok {
			p.uid = int(st.Uid)
		}
	}
	return p, nil
}

func readProcesses() ([]process, error) {
	boot := time.Now()
	for _, line := range lines("/proc/stat") {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				boot = time.Unix(n, 0)
			}
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(pid, boot); err == nil { // else it has just ended
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b process) int { return a.pid - b.pid })
	return all, nil
}

// ttyName is the short name of a terminal's device number, as in pts/0.
func ttyName(device int) string {
	major, minor := unix.Major(uint64(device)), unix.Minor(uint64(device))
	switch {
	case device == 0:
		return "?"
	case major >= 136 && major <= 143:
		return "pts/" + strconv.Itoa(int((major-136)*256+minor))
	case major == 4:
		return "tty" + strconv.Itoa(int(minor))
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

type psColumn struct {
	title string
	left  bool
	value func(process) string
}

var psColumns = map[string]psColumn{
	"pid":   {"PID", false, func(p process) string { return strconv.Itoa(p.pid) }},
	"ppid":  {"PPID", false, func(p process) string { return strconv.Itoa(p.ppid) }},
	"pgid":  {"PGID", false, func(p process) string { return strconv.Itoa(p.pgid) }},
	"sid":   {"SID", false, func(p process) string { return strconv.Itoa(p.sid) }},
	"uid":   {"UID", false, func(p process) string { return strconv.Itoa(p.uid) }},
	"user":  {"USER", true, func(p process) string { return UserName(p.uid) }},
	"tty":   {"TTY", true, func(p process) string { return ttyName(p.tty) }},
	"stat":  {"STAT", true, func(p process) string { return p.state }},
	"rss":   {"RSS", false, func(p process) string { return strconv.FormatInt(p.rss, 10) }},
	"vsz":   {"VSZ", false, func(p process) string { return strconv.FormatInt(p.vsz, 10) }},
	"time":  {"TIME", false, func(p process) string { return clock(p.cpu) }},
	"stime": {"STIME", true, func(p process) string { return startTime(p.started) }},
	"comm":  {"COMMAND", true, func(p process) string { return p.comm }},
	"args":  {"COMMAND", true, processArgs},
}

func processArgs(p process) string {
	if len(p.args) == 0 {
		if strings.HasPrefix(p.state, "Z") {
			return "[" + p.comm + "] <defunct>"
		}
		return "[" + p.comm + "]"
	}
	return strings.Join(p.args, " ")
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func startTime(t time.Time) string {
	if time.Since(t) < 24*time.Hour {
		return t.Format("15:04")
	}
	return t.Format("Jan02")
}

func runPS(c *call) int {
	all, full, bsdUsers := false, false, false
	var chosen []string
	var pids []int
	titles := map[string]string{}
	args := c.args
	value := func(rest string) string {
		if rest == "" && len(args) > 0 {
			rest, args = args[0], args[1:]
		}
		return rest
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		letters := strings.TrimPrefix(arg, "-")
		for i := 0; i < len(letters); i++ {
			switch l := letters[i]; l {
			case 'e', 'A', 'x':
				all = true
			case 'a':
				all = all || arg[0] != '-'
			case 'f':
				full = true
			case 'u':
				bsdUsers, all = true, true
			case 'w', 'h':
			case 'o':
				for _, name := range strings.FieldsFunc(value(letters[i+1:]), func(r rune) bool { return r == ',' || r == ' ' }) {
					name, title, renamed := strings.Cut(name, "=")
					switch name {
					case "command", "cmd":
						name = "args"
					case "tt", "tname":
						name = "tty"
					case "state", "s":
						name = "stat"
					case "ucmd":
						name = "comm"
					case "uname":
						name = "user"
					}
					if _, ok := psColumns[name]; !ok {
						return c.die("unknown column '%s'; ps --help lists them", name)
					}
					chosen = append(chosen, name)
					if renamed {
						titles[name] = title
					}
				}
				i = len(letters)
			case 'p':
				for _, s := range strings.FieldsFunc(value(letters[i+1:]), func(r rune) bool { return r == ',' || r == ' ' }) {
					pid, err := strconv.Atoi(s)
					if err != nil {
						return c.die("'%s' is not a process id", s)
					}
					pids = append(pids, pid)
				}
				i = len(letters)
			default:
				return c.die("unknown option '%c'; ps --help tells more", l)
			}
		}
	}
	list, err := readProcesses()
	if err != nil {
		return c.die("%s: %s", "/proc", reason(err))
	}
	if len(chosen) == 0 {
		switch {
		case bsdUsers:
			chosen = []string{"user", "pid", "vsz", "rss", "tty", "stat", "stime", "time", "args"}
		case full:
			chosen = []string{"user", "pid", "ppid", "stime", "tty", "time", "args"}
		default:
			chosen = []string{"pid", "tty", "time", "comm"}
		}
	}
	own := 0
	for _, p := range list {
		if p.pid == os.Getpid() {
			own = p.tty
		}
	}
	rows := [][]string{{}}
	plain := true
	for _, name := range chosen {
		title := psColumns[name].title
		if t, ok := titles[name]; ok {
			title = t
		}
		plain = plain && title == ""
		rows[0] = append(rows[0], title)
	}
	if plain { // ps -o pid= prints no line of titles
		rows = nil
	}
	found := false
	for _, p := range list {
		if pids != nil && !slices.Contains(pids, p.pid) || pids == nil && !all && (p.tty != own || p.uid != os.Geteuid()) {
			continue
		}
		found = true
		var row []string
		for _, name := range chosen {
			row = append(row, psColumns[name].value(p))
		}
		rows = append(rows, row)
	}
	width := make([]int, len(chosen))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
			if !psColumns[chosen[i]].left {
				width[i] = max(width[i], 5)
			}
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				c.printf(" ")
			}
			switch {
			case !psColumns[chosen[i]].left:
				c.printf("%*s", width[i], cell)
			case i == len(row)-1:
				c.printf("%s", cell)
			default:
				c.printf("%-*s", width[i], cell)
			}
		}
		c.println()
	}
	if !found {
		return 1
	}
	return c.code()
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
