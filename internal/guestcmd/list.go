//go:build linux

package guestcmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func listCommands() []Command {
	return []Command{{
		Name: "ls", Usage: "[-aAdFhilnprRsStu1C] [FILE]...", spec: "aAdFhilnprRsStu1C", usageCode: 2,
		long: map[string]rune{"all": 'a', "almost-all": 'A', "directory": 'd', "classify": 'F', "human-readable": 'h',
			"inode": 'i', "reverse": 'r', "recursive": 'R', "size": 's', "numeric-uid-gid": 'n'},
		Help: `Lists files, sorted by name.
  -a  with those that begin with a dot     -A  so, but for . and ..
  -l  long: mode, links, owner, group, size, time, name
  -n  long with numbers for owner and group
  -h  sizes as 1.5K, 2M                    -s  with the blocks of 1 KB used
  -d  directories themselves               -R  directories below, too
  -F  with one of */@|= for the kind       -p  with / after directories
  -S  sorted by size                       -t  sorted by time, newest first
  -r  in reverse                           -u  the time of last access
  -i  with the inode                       -1  one a line
  -C  in columns, as on a terminal`,
		run: runList,
	}}
}

type lister struct {
	*call
	long, columns bool
	width         int
	now           time.Time
	users, groups map[int]string
}

type listed struct {
	name string
	info fs.FileInfo
	path string
}

func runList(c *call) int {
	l := &lister{call: c, long: c.opts.has('l') || c.opts.has('n'), width: 80, now: time.Now()}
	l.columns = c.opts.has('C') || isTerminal(os.Stdout) && !c.opts.has('1')
	if c.opts.last("1lnC") == '1' {
		l.columns = false
	}
	if ws, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ); err == nil && ws.Col > 0 {
		l.width = int(ws.Col)
	}
	names := c.args
	if len(names) == 0 {
		names = []string{"."}
	}
	var files, dirs []listed
	missing := false
	for _, name := range names {
		info, err := os.Lstat(name)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && !l.long && !c.opts.has('d') {
			if target, terr := os.Stat(name); terr == nil {
				info = target
			}
		} else if err == nil && l.long && strings.HasSuffix(name, "/") {
			info, err = os.Stat(name)
		}
		if err != nil {
			c.fail("cannot access '%s': %s", name, reason(err))
			missing = true
			continue
		}
		entry := listed{name, info, name}
		if info.IsDir() && !c.opts.has('d') {
			dirs = append(dirs, entry)
		} else {
			files = append(files, entry)
		}
	}
	l.sort(files)
	l.sort(dirs)
	l.print(files)
	for i, d := range dirs {
		if i > 0 || len(files) > 0 {
			c.println()
		}
		l.dir(d.path, len(names) > 1 || c.opts.has('R'))
	}
	if missing {
		return 2 // as GNU ls: an operand could not be listed
	}
	return c.code()
}

func (l *lister) dir(path string, title bool) {
	entries, err := os.ReadDir(path)
	if err != nil {
		l.fail("cannot open directory '%s': %s", path, reason(err))
		return
	}
	var all []listed
	total := int64(0)
	add := func(name string) {
		full := filepath.Join(path, name)
		info, err := os.Lstat(full)
		if err != nil {
			l.fail("cannot access '%s': %s", full, reason(err))
			return
		}
		if st, ok := info.Sys().(*unixStat); ok {
			total += st.Blocks
		}
		all = append(all, listed{name, info, full})
	}
	if l.opts.has('a') {
		add(".")
		add("..")
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !l.opts.has('a') && !l.opts.has('A') {
			continue
		}
		add(e.Name())
	}
	l.sort(all)
	if title {
		l.printf("%s:\n", path)
	}
	if l.long || l.opts.has('s') {
		if l.opts.has('h') {
			l.printf("total %s\n", humanSize(total*512))
		} else {
			l.printf("total %d\n", total/2)
		}
	}
	l.print(all)
	if l.opts.has('R') {
		for _, e := range all {
			if e.info.IsDir() && e.name != "." && e.name != ".." {
				l.println()
				sub := filepath.Join(path, e.name)
				if path == "." {
					sub = "./" + e.name
				} else if strings.HasPrefix(path, "./") {
					sub = "./" + sub
				}
				l.dir(sub, true)
			}
		}
	}
}

func (l *lister) sort(files []listed) {
	slices.SortStableFunc(files, func(a, b listed) int {
		switch l.opts.last("St") {
		case 'S':
			if a.info.Size() != b.info.Size() {
				return int(max(-1, min(1, b.info.Size()-a.info.Size())))
			}
		case 't':
			if d := l.time(b).Compare(l.time(a)); d != 0 {
				return d
			}
		}
		return strings.Compare(a.name, b.name)
	})
	if l.opts.has('r') {
		slices.Reverse(files)
	}
}

func (l *lister) time(f listed) time.Time {
	if st, ok := f.info.Sys().(*unixStat); ok && l.opts.has('u') {
		return time.Unix(st.Atim.Unix())
	}
	return f.info.ModTime()
}

// decorated is the name with what -F and -p add.
func (l *lister) decorated(f listed) string {
	mode := f.info.Mode()
	switch {
	case mode.IsDir() && (l.opts.has('F') || l.opts.has('p')):
		return f.name + "/"
	case !l.opts.has('F'):
	case mode&fs.ModeSymlink != 0 && !l.long:
		return f.name + "@"
	case mode&fs.ModeNamedPipe != 0:
		return f.name + "|"
	case mode&fs.ModeSocket != 0:
		return f.name + "="
	case mode.IsRegular() && mode&0o111 != 0:
		return f.name + "*"
	}
	return f.name
}

func (l *lister) print(files []listed) {
	if len(files) == 0 {
		return
	}
	// Columns before the name, each as wide as its widest entry.
	var rows [][]string
	for _, f := range files {
		st, _ := f.info.Sys().(*unixStat)
		var row []string
		if l.opts.has('i') {
			row = append(row, strconv.FormatUint(st.Ino, 10))
		}
		if l.opts.has('s') {
			size := strconv.FormatInt(st.Blocks/2, 10)
			if l.opts.has('h') {
				size = humanSize(st.Blocks * 512)
			}
			row = append(row, size)
		}
		if l.long {
			size := strconv.FormatInt(f.info.Size(), 10)
			switch {
			case f.info.Mode()&fs.ModeDevice != 0:
				size = fmt.Sprintf("%d, %d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
			case l.opts.has('h'):
				size = humanSize(f.info.Size())
			}
			row = append(row, modeString(f.info.Mode()), strconv.FormatUint(uint64(st.Nlink), 10),
				l.owner(int(st.Uid)), l.group(int(st.Gid)), size, l.when(l.time(f)))
		}
		rows = append(rows, row)
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	text := make([]string, len(files))
	for i, f := range files {
		var b strings.Builder
		for j, cell := range rows[i] {
			// Owner and group, the third and second from the size, stand left.
			if left := l.long && (j == len(width)-4 || j == len(width)-3 || j == len(width)-6); left {
				fmt.Fprintf(&b, "%-*s ", width[j], cell)
			} else {
				fmt.Fprintf(&b, "%*s ", width[j], cell)
			}
		}
		b.WriteString(l.decorated(f))
		if l.long && f.info.Mode()&fs.ModeSymlink != 0 {
			if target, err := os.Readlink(f.path); err == nil {
				b.WriteString(" -> " + target)
			}
		}
		text[i] = b.String()
	}
	if l.long || !l.columns {
		for _, t := range text {
			l.println(t)
		}
		return
	}
	l.inColumns(text)
}

// inColumns prints names down and across, as many columns as fit.
func (l *lister) inColumns(names []string) {
	for rows := 1; ; rows++ {
		columns := (len(names) + rows - 1) / rows
		widths := make([]int, columns)
		total := 0
		for i, name := range names {
			widths[i/rows] = max(widths[i/rows], utf8.RuneCountInString(name))
		}
		for _, w := range widths {
			total += w + 2
		}
		if total-2 > l.width && columns > 1 {
			continue
		}
		for r := range rows {
			for col := 0; col < columns; col++ {
				i := col*rows + r
				if i >= len(names) {
					break
				}
				l.printf("%s", names[i])
				if i+rows < len(names) {
					l.printf("%s", strings.Repeat(" ", widths[col]+2-utf8.RuneCountInString(names[i])))
				}
			}
			l.println()
		}
		return
	}
}

func (l *lister) owner(uid int) string {
	if l.opts.has('n') {
		return strconv.Itoa(uid)
	}
	if l.users == nil {
		l.users = map[int]string{}
		for _, u := range users() {
			if _, known := l.users[u.uid]; !known {
				l.users[u.uid] = u.name
			}
		}
	}
	if name, ok := l.users[uid]; ok {
		return name
	}
	return strconv.Itoa(uid)
}

func (l *lister) group(gid int) string {
	if l.opts.has('n') {
		return strconv.Itoa(gid)
	}
	if l.groups == nil {
		l.groups = map[int]string{}
		for _, g := range groups() {
			if _, known := l.groups[g.gid]; !known {
				l.groups[g.gid] = g.name
			}
		}
	}
	if name, ok := l.groups[gid]; ok {
		return name
	}
	return strconv.Itoa(gid)
}

// when shows a time with its hour if it is of the last half year.
func (l *lister) when(t time.Time) string {
	if age := l.now.Sub(t); age < -time.Minute || age > 365*24*time.Hour/2 {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// humanSize is a size in powers of 1024, rounded up as ls and df do.
func humanSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	unit := int64(1024)
	for _, suffix := range "KMGTPE" {
		if n <= 1023*unit || suffix == 'E' {
			if tenths := (n*10 + unit - 1) / unit; tenths < 100 {
				return fmt.Sprintf("%d.%d%c", tenths/10, tenths%10, suffix)
			}
			return fmt.Sprintf("%d%c", (n+unit-1)/unit, suffix)
		}
		unit *= 1024
	}
	return strconv.FormatInt(n, 10)
}
