//go:build linux

package guestcmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
