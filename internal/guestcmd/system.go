//go:build linux

package guestcmd

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func systemCommands() []Command {
	return []Command{
		{Name: "id", Usage: "[-unGgr] [USER]", spec: "unGgr",
			long: map[string]rune{"user": 'u', "name": 'n', "group": 'g', "groups": 'G', "real": 'r'},
			Help: "Prints who the user is.\n  -u  the user's number    -g  the group's    -G  all groups'\n  -n  names instead        -r  the real one, not the effective",
			run:  runID},
		{Name: "whoami", Usage: "", spec: "", Help: "Prints the user's name.",
			run: func(c *call) int {
				uid := os.Geteuid()
				if _, ok := userByID(uid); !ok {
					return c.die("cannot find name for user ID %d", uid)
				}
				c.println(UserName(uid))
				return 0
			}},
		{Name: "groups", Usage: "", spec: "", Help: "Prints the names of the user's groups.",
			run: func(c *call) int {
				c.println(strings.Join(groupNames(ownGroups()), " "))
				return 0
			}},
		{Name: "hostname", Usage: "[-s] [NAME]", spec: "sf", Help: "Prints the name of the machine, or sets it.\n  -s  up to the first dot\n  -f  in full",
			run: runHostname},
		{Name: "uname", Usage: "[-asnrvmpio]", spec: "asnrvmpio",
			long: map[string]rune{"all": 'a', "machine": 'm', "kernel-name": 's', "kernel-release": 'r', "nodename": 'n', "kernel-version": 'v', "operating-system": 'o'},
			Help: "Prints what system it is.\n  -s  the kernel    -n  the machine's name   -r  the release\n  -v  the version   -m  the architecture     -o  the operating system\n  -a  all of these",
			run:  runUname},
		{Name: "uptime", Usage: "", spec: "", Help: "Prints for how long the machine has been up, and its load.",
			run: runUptime},
		{Name: "date", Usage: "[-uR] [-I[SPEC]] [-d TIME] [-r FILE] [+FORMAT]", raw: true,
			Help: "Prints the time. FORMAT knows %a %A %b %B %c %C %d %D %e %F %g %G %H %I %j %k %l %m %M\n%n %N %p %r %R %s %S %t %T %u %V %w %x %X %y %Y %z %Z %%.\n  -u       in UTC\n  -d TIME  of that time: @SECONDS, or as 2006-01-02 15:04:05\n  -r FILE  when FILE was changed\n  -R       as RFC 5322 has it\n  -I[SPEC] as ISO 8601; SPEC is date, hours, minutes or seconds",
			run:  runDate},
		{Name: "df", Usage: "[-hikPT] [FILE]...", spec: "hikPTa",
			long: map[string]rune{"human-readable": 'h', "inodes": 'i', "portability": 'P', "print-type": 'T', "all": 'a'},
			Help: "Prints how much room file systems have, in KB.\n  -h  sizes as 1.5G   -i  inodes instead\n  -T  with the type   -a  also those without a size",
			run:  runDF},
		{Name: "du", Usage: "[-ahksc] [-d N] [FILE]...", spec: "ahkscd:",
			long: map[string]rune{"all": 'a', "human-readable": 'h', "summarize": 's', "total": 'c', "max-depth": 'd'},
			Help: "Prints how much room files take, in KB.\n  -a    each file      -s  only the sum of each operand\n  -h    sizes as 1.5G  -c  the sum of all\n  -d N  N levels deep",
			run:  runDU},
		{Name: "free", Usage: "[-hm]", spec: "hmk", Help: "Prints how much memory is there, in KB.\n  -h  as 1.5G   -m  in MB", run: runFree},
	}
}

func ownGroups() []int {
	more, _ := os.Getgroups()
	all := []int{os.Getegid()}
	for _, g := range more {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

func groupNames(gids []int) []string {
	var names []string
	for _, g := range gids {
		names = append(names, groupName(g))
	}
	return names
}

func runID(c *call) int {
	uid, gid, all := os.Geteuid(), os.Getegid(), ownGroups()
	if c.opts.has('r') {
		uid, gid = os.Getuid(), os.Getgid()
	}
	if len(c.args) > 0 {
		u, ok := userByName(c.args[0])
		if n, err := strconv.Atoi(c.args[0]); !ok && err == nil {
			u, ok = userByID(n)
		}
		if !ok {
			return c.die("'%s': no such user", c.args[0])
		}
		uid, gid, all = u.uid, u.gid, []int{u.gid}
		for _, g := range groups() {
			if g.gid != u.gid && slices.Contains(g.members, u.name) {
				all = append(all, g.gid)
			}
		}
	}
	named := c.opts.has('n')
	show := func(id int, name string) string {
		if named {
			return name
		}
		return strconv.Itoa(id)
	}
	switch c.opts.last("ugG") {
	case 'u':
		c.println(show(uid, UserName(uid)))
	case 'g':
		c.println(show(gid, groupName(gid)))
	case 'G':
		var out []string
		for _, g := range all {
			out = append(out, show(g, groupName(g)))
		}
		c.println(strings.Join(out, " "))
	default:
		if named || c.opts.has('r') {
			return c.die("-n and -r need one of -u, -g, -G")
		}
		with := func(id int, name string) string {
			if name == strconv.Itoa(id) {
				return name
			}
			return fmt.Sprintf("%d(%s)", id, name)
		}
		var out []string
		for _, g := range all {
			out = append(out, with(g, groupName(g)))
		}
		c.printf("uid=%s gid=%s groups=%s\n", with(uid, UserName(uid)), with(gid, groupName(gid)), strings.Join(out, ","))
	}
	return 0
}

func runHostname(c *call) int {
	if len(c.args) > 0 {
		if err := unix.Sethostname([]byte(c.args[0])); err != nil {
			return c.die("cannot set the name: %s", reason(err))
		}
		return 0
	}
	name, err := os.Hostname()
	if err != nil {
		return c.die("%s", reason(err))
	}
	if c.opts.has('s') {
		name, _, _ = strings.Cut(name, ".")
	}
	c.println(name)
	return 0
}

func runUname(c *call) int {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return c.die("%s", reason(err))
	}
	var out []string
	for _, f := range []struct {
		letter rune
		value  string
	}{
		{'s', unix.ByteSliceToString(u.Sysname[:])},
		{'n', unix.ByteSliceToString(u.Nodename[:])},
		{'r', unix.ByteSliceToString(u.Release[:])},
		{'v', unix.ByteSliceToString(u.Version[:])},
		{'m', unix.ByteSliceToString(u.Machine[:])},
		{'p', "unknown"},
		{'i', "unknown"},
		{'o', "GNU/Linux"},
	} {
		known := f.value != "unknown"
		if c.opts.has(f.letter) || c.opts.has('a') && known || len(c.opts) == 0 && f.letter == 's' {
			out = append(out, f.value)
		}
	}
	c.println(strings.Join(out, " "))
	return 0
}

func runUptime(c *call) int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return c.die("%s", reason(err))
	}
	up := time.Duration(info.Uptime) * time.Second
	days := ""
	if d := int(up.Hours()) / 24; d > 0 {
		days = fmt.Sprintf("%d days, ", d)
	}
	load := func(i int) float64 { return float64(info.Loads[i]) / 65536 }
	c.printf(" %s up %s%2d:%02d,  load average: %.2f, %.2f, %.2f\n", time.Now().Format("15:04:05"),
		days, int(up.Hours())%24, int(up.Minutes())%60, load(0), load(1), load(2))
	return 0
}

// parseTime parses a time as touch and date take it.
func parseTime(s string) (time.Time, error) {
	now := time.Now()
	switch s {
	case "now":
		return now, nil
	case "today":
		return now, nil
	case "yesterday":
		return now.AddDate(0, 0, -1), nil
	case "tomorrow":
		return now.AddDate(0, 0, 1), nil
	}
	if sec, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseFloat(sec, 64)
		if err == nil {
			return time.Unix(0, int64(n*1e9)), nil
		}
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04",
		"2006-01-02", time.RFC1123Z, time.RFC1123, time.UnixDate,
	} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.Local), nil
		}
	}
	return now, fmt.Errorf("invalid date '%s'", s)
}

func runDate(c *call) int {
	t := time.Now()
	format := "%a %b %e %H:%M:%S %Z %Y"
	utc := false
	args := c.args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value := func(short, long string) (string, bool) {
			if v, ok := strings.CutPrefix(arg, long+"="); ok {
				return v, true
			}
			if arg == short || arg == long {
				if len(args) == 0 {
					return "", false
				}
				v := args[0]
				args = args[1:]
				return v, true
			}
			if v, ok := strings.CutPrefix(arg, short); ok && !strings.HasPrefix(arg, "--") {
				return v, true
			}
			return "", false
		}
		switch {
		case strings.HasPrefix(arg, "+"):
			format = arg[1:]
		case arg == "-u" || arg == "--utc":
			utc = true
		case arg == "-R" || arg == "--rfc-email":
			format = "%a, %d %b %Y %H:%M:%S %z"
		case strings.HasPrefix(arg, "-I"):
			switch arg[2:] {
			case "", "date":
				format = "%Y-%m-%d"
			case "hours":
				format = "%Y-%m-%dT%H%:z"
			case "minutes":
				format = "%Y-%m-%dT%H:%M%:z"
			case "seconds":
				format = "%Y-%m-%dT%H:%M:%S%:z"
			default:
				return c.die("invalid argument '%s' for -I", arg[2:])
			}
		case strings.HasPrefix(arg, "-d") || strings.HasPrefix(arg, "--date"):
			v, ok := value("-d", "--date")
			if !ok {
				return c.die("option -d needs an argument")
			}
			parsed, err := parseTime(v)
			if err != nil {
				return c.die("%v", err)
			}
			t = parsed
		case strings.HasPrefix(arg, "-r"):
			v, ok := value("-r", "--reference")
			if !ok {
				return c.die("option -r needs an argument")
			}
			info, err := os.Stat(v)
			if err != nil {
				return c.die("%s: %s", v, reason(err))
			}
			t = info.ModTime()
		default:
			return c.die("unknown argument '%s'; date --help tells more", arg)
		}
	}
	if utc {
		t = t.UTC()
	} else {
		t = t.Local()
	}
	c.println(formatTime(t, format))
	return 0
}

// formatTime is strftime in the C locale.
func formatTime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := byte(0)
		if strings.IndexByte("-_0:", format[i]) >= 0 && i+1 < len(format) {
			pad = format[i]
			i++
		}
		number := func(n, width int, fill byte) {
			if pad == '-' {
				width = 0
			} else if pad == '_' {
				fill = ' '
			} else if pad == '0' {
				fill = '0'
			}
			s := strconv.Itoa(n)
			for range width - len(s) {
				b.WriteByte(fill)
			}
			b.WriteString(s)
		}
		hour12 := (t.Hour()+11)%12 + 1
		isoYear, isoWeek := t.ISOWeek()
		switch format[i] {
		case 'a':
			b.WriteString(t.Format("Mon"))
		case 'A':
			b.WriteString(t.Format("Monday"))
		case 'b', 'h':
			b.WriteString(t.Format("Jan"))
		case 'B':
			b.WriteString(t.Format("January"))
		case 'c':
			b.WriteString(t.Format("Mon Jan _2 15:04:05 2006"))
		case 'C':
			number(t.Year()/100, 2, '0')
		case 'd':
			number(t.Day(), 2, '0')
		case 'D', 'x':
			b.WriteString(t.Format("01/02/06"))
		case 'e':
			number(t.Day(), 2, ' ')
		case 'F':
			b.WriteString(t.Format("2006-01-02"))
		case 'g':
			number(isoYear%100, 2, '0')
		case 'G':
			number(isoYear, 4, '0')
		case 'H':
			number(t.Hour(), 2, '0')
		case 'I':
			number(hour12, 2, '0')
		case 'j':
			number(t.YearDay(), 3, '0')
		case 'k':
			number(t.Hour(), 2, ' ')
		case 'l':
			number(hour12, 2, ' ')
		case 'm':
			number(int(t.Month()), 2, '0')
		case 'M':
			number(t.Minute(), 2, '0')
		case 'n':
			b.WriteByte('\n')
		case 'N':
			number(t.Nanosecond(), 9, '0')
		case 'p':
			b.WriteString(t.Format("PM"))
		case 'P':
			b.WriteString(t.Format("pm"))
		case 'r':
			b.WriteString(t.Format("03:04:05 PM"))
		case 'R':
			b.WriteString(t.Format("15:04"))
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'S':
			number(t.Second(), 2, '0')
		case 't':
			b.WriteByte('\t')
		case 'T', 'X':
			b.WriteString(t.Format("15:04:05"))
		case 'u':
			number((int(t.Weekday())+6)%7+1, 1, '0')
		case 'V':
			number(isoWeek, 2, '0')
		case 'w':
			number(int(t.Weekday()), 1, '0')
		case 'y':
			number(t.Year()%100, 2, '0')
		case 'Y':
			number(t.Year(), 4, '0')
		case 'z':
			if pad == ':' {
				b.WriteString(t.Format("-07:00"))
			} else {
				b.WriteString(t.Format("-0700"))
			}
		case 'Z':
			b.WriteString(t.Format("MST"))
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
	return b.String()
}

type mount struct{ device, dir, kind string }

func mounts() []mount {
	var all []mount
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for _, line := range lines("/proc/self/mounts") {
		if f := strings.Fields(line); len(f) >= 3 {
			all = append(all, mount{unescape.Replace(f[0]), unescape.Replace(f[1]), f[2]})
		}
	}
	return all
}

func runDF(c *call) int {
	var chosen []mount
	all := mounts()
	if len(c.args) == 0 {
		seen := map[string]bool{}
		for _, m := range all {
			var st unix.Statfs_t
			if unix.Statfs(m.dir, &st) != nil || st.Blocks == 0 && !c.opts.has('a') {
				continue
			}
			if key := m.device + fmt.Sprint(st.Fsid); strings.HasPrefix(m.device, "/") && seen[key] && !c.opts.has('a') {
				continue
			} else {
				seen[key] = true
			}
			chosen = append(chosen, m)
		}
	}
	for _, path := range c.args {
		info, err := os.Stat(path)
		if err != nil {
			c.failFile(path, err)
			continue
		}
		// The last mount of the longest directory with the same device.
		best := mount{"-", path, "-"}
		dev := info.Sys().(*unixStat).Dev
		for _, m := range all {
			if mi, err := os.Stat(m.dir); err == nil && mi.Sys().(*unixStat).Dev == dev {
				if best.device == "-" || len(m.dir) <= len(best.dir) {
					best = m
				}
			}
		}
		chosen = append(chosen, best)
	}
	rows := [][]string{{"Filesystem", "Type", "1K-blocks", "Used", "Available", "Use%", "Mounted on"}}
	switch {
	case c.opts.has('i'):
		rows[0] = []string{"Filesystem", "Type", "Inodes", "IUsed", "IFree", "IUse%", "Mounted on"}
	case c.opts.has('h'):
		rows[0][2], rows[0][4] = "Size", "Avail"
	case c.opts.has('P'):
		rows[0][2], rows[0][5] = "1024-blocks", "Capacity"
	}
	for _, m := range chosen {
		var st unix.Statfs_t
		if err := unix.Statfs(m.dir, &st); err != nil {
			c.failFile(m.dir, err)
			continue
		}
		unit := uint64(st.Bsize)
		if st.Frsize > 0 {
			unit = uint64(st.Frsize)
		}
		total, used, free := st.Blocks*unit, (st.Blocks-st.Bfree)*unit, st.Bavail*unit
		show := func(n uint64) string { return strconv.FormatUint((n+1023)/1024, 10) }
		if c.opts.has('i') {
			total, used, free = st.Files, st.Files-st.Ffree, st.Ffree
			show = func(n uint64) string { return strconv.FormatUint(n, 10) }
		}
		if c.opts.has('h') {
			show = func(n uint64) string { return humanSize(int64(n)) }
		}
		percent := "-"
		if used+free > 0 {
			percent = strconv.FormatUint((used*100+used+free-1)/(used+free), 10) + "%"
		}
		rows = append(rows, []string{m.device, m.kind, show(total), show(used), show(free), percent, m.dir})
	}
	if !c.opts.has('T') {
		for i := range rows {
			rows[i] = slices.Delete(rows[i], 1, 2)
		}
	}
	if len(rows) > 1 {
		c.table(rows, map[string]bool{"Filesystem": true, "Type": true, "Mounted on": true})
	}
	return c.code()
}

// table prints rows in columns; the first row has the titles, and columns
// whose title is in left stand left.
func (c *call) table(rows [][]string, left map[string]bool) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				c.printf(" ")
			}
			switch {
			case !left[rows[0][i]]:
				c.printf("%*s", width[i], cell)
			case i == len(row)-1:
				c.printf("%s", cell)
			default:
				c.printf("%-*s", width[i], cell)
			}
		}
		c.println()
	}
}

func runDU(c *call) int {
	depth := 1 << 30
	if c.opts.has('d') {
		n, err := strconv.Atoi(c.opts.value('d', ""))
		if err != nil || n < 0 {
			return c.die("invalid depth '%s'", c.opts.value('d', ""))
		}
		depth = n
	}
	if c.opts.has('s') {
		depth = 0
	}
	show := func(blocks int64, path string) {
		size := strconv.FormatInt((blocks+1)/2, 10)
		if c.opts.has('h') {
			size = humanSize(blocks * 512)
		}
		c.printf("%s\t%s\n", size, path)
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	var sum func(path string, level int) int64
	sum = func(path string, level int) int64 {
		info, err := os.Lstat(path)
		if err != nil {
			c.fail("cannot access '%s': %s", path, reason(err))
			return 0
		}
		st := info.Sys().(*unixStat)
		if st.Nlink > 1 && !info.IsDir() {
			if id := (inode{uint64(st.Dev), st.Ino}); seen[id] {
				return 0
			} else {
				seen[id] = true
			}
		}
		blocks := st.Blocks
		if info.IsDir() {
			entries, err := os.ReadDir(path)
			if err != nil {
				c.fail("cannot read directory '%s': %s", path, reason(err))
			}
			for _, e := range entries {
				blocks += sum(strings.TrimSuffix(path, "/")+"/"+e.Name(), level+1)
			}
		}
		if level == 0 || level <= depth && (info.IsDir() || c.opts.has('a')) {
			show(blocks, path)
		}
		return blocks
	}
	paths := c.args
	if len(paths) == 0 {
		paths = []string{"."}
	}
	total := int64(0)
	for _, p := range paths {
		total += sum(p, 0)
	}
	if c.opts.has('c') {
		show(total, "total")
	}
	return c.code()
}

func runFree(c *call) int {
	kb := map[string]int64{}
	for _, line := range lines("/proc/meminfo") {
		f := strings.Fields(line)
		if len(f) >= 2 {
			kb[strings.TrimSuffix(f[0], ":")], _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	show := func(n int64) string {
		switch {
		case c.opts.has('h'):
			return humanSize(n * 1024)
		case c.opts.has('m'):
			return strconv.FormatInt(n/1024, 10)
		}
		return strconv.FormatInt(n, 10)
	}
	cache := kb["Buffers"] + kb["Cached"] + kb["SReclaimable"]
	c.table([][]string{
		{"", "total", "used", "free", "shared", "buff/cache", "available"},
		{"Mem:", show(kb["MemTotal"]), show(kb["MemTotal"] - kb["MemAvailable"]), show(kb["MemFree"]), show(kb["Shmem"]), show(cache), show(kb["MemAvailable"])},
		{"Swap:", show(kb["SwapTotal"]), show(kb["SwapTotal"] - kb["SwapFree"]), show(kb["SwapFree"]), "", "", ""},
	}, map[string]bool{"": true})
	return 0
}
