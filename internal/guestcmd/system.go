//go:build linux

package guestcmd

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func systemCommands() []Command {
	return []Command{
		{Name: "date", Usage: "[-u] [-d TIME] [+FORMAT]", spec: "ud:", long: map[string]rune{"utc": 'u', "date": 'd'},
			Help: "Prints the date and time.\n  -u       in UTC\n  -d TIME  another time: 2006-01-02, 2006-01-02 15:04:05, @SECONDS\nFORMAT knows %Y %m %d %H %M %S %y %j %e %I %p %a %A %b %B %Z %z %s %N %F %T %D %R %n %t %%.",
			run:  runDate},
		{Name: "df", Usage: "[-hk] [FILE]...", spec: "hkP",
			Help: "Shows the room on file systems, in KiB.\n  -h  in units that people read",
			run:  runDF},
		{Name: "hostname", Usage: "", spec: "s", Help: "Prints the machine's name.",
			run: func(c *call) int {
				name, err := os.Hostname()
				if err != nil {
					return c.die("%s", reason(err))
				}
				c.println(name)
				return 0
			}},
		{Name: "id", Usage: "[-u | -g | -G] [-n] [USER]", spec: "ugGnr",
			long: map[string]rune{"user": 'u', "group": 'g', "groups": 'G', "name": 'n', "real": 'r'},
			Help: "Prints user and groups.\n  -u  the user only   -g  the group only   -G  all groups\n  -n  their names",
			run:  runID},
		{Name: "whoami", Usage: "", Help: "Prints the user's name.",
			run: func(c *call) int { c.println(userName(os.Geteuid())); return 0 }},
		{Name: "uname", Usage: "[-asnrvm]", spec: "asnrvmo", long: map[string]rune{"all": 'a', "kernel-name": 's', "nodename": 'n', "kernel-release": 'r', "kernel-version": 'v', "machine": 'm'},
			Help: "Prints what system this is.\n  -a all   -s kernel   -n name   -r release   -v version   -m machine   -o system",
			run:  runUname},
		{Name: "nproc", Usage: "", Help: "Prints how many processors there are.",
			run: func(c *call) int { c.println(runtime.NumCPU()); return 0 }},
	}
}

// timeLayouts are the forms of a time in options.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC1123Z,
}

// parseTime reads a time as -d of date and touch have it.
func parseTime(text string) (time.Time, error) {
	var seconds int64
	if n, err := fmt.Sscanf(text, "@%d", &seconds); n == 1 && err == nil {
		return time.Unix(seconds, 0), nil
	}
	if text == "now" {
		return time.Now(), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid date '%s'", text)
}

func runDate(c *call) int {
	t := time.Now()
	if text := c.opts.value('d', ""); text != "" {
		var err error
		if t, err = parseTime(text); err != nil {
			return c.die("%v", err)
		}
	}
	if c.opts.has('u') {
		t = t.UTC()
	}
	format := "%a %b %e %H:%M:%S %Z %Y"
	if len(c.args) > 0 {
		var ok bool
		if format, ok = strings.CutPrefix(c.args[0], "+"); !ok || len(c.args) > 1 {
			return c.die("the date can't be set; a format begins with +")
		}
	}
	text, err := strftime(t, format)
	if err != nil {
		return c.die("%v", err)
	}
	c.println(text)
	return 0
}

func strftime(t time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'j': "002", 'e': "_2",
		'I': "03", 'p': "PM", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'Z': "MST", 'z': "-0700",
		'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'c': "Mon Jan _2 15:04:05 2006",
	}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		switch v := format[i]; v {
		case 's':
			fmt.Fprint(&out, t.Unix())
		case 'N':
			fmt.Fprintf(&out, "%09d", t.Nanosecond())
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case '%':
			out.WriteByte('%')
		default:
			layout, ok := layouts[v]
			if !ok {
				return "", fmt.Errorf("the format has no %%%c", v)
			}
			out.WriteString(t.Format(layout))
		}
	}
	return out.String(), nil
}

func runDF(c *call) int {
	type mount struct{ source, dir string }
	var mounts []mount
	if len(c.args) > 0 {
		for _, a := range c.args {
			mounts = append(mounts, mount{"-", a})
		}
	} else {
		f, err := os.Open("/proc/self/mounts")
		if err != nil {
			return c.die("/proc/self/mounts: %s", reason(err))
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if fields := strings.Fields(s.Text()); len(fields) > 1 {
				mounts = append(mounts, mount{fields[0], fields[1]})
			}
		}
	}
	c.printf("%-20s %12s %12s %12s %4s %s\n", "Filesystem", "Size", "Used", "Available", "Use%", "Mounted on")
	size := func(n uint64) string {
		if !c.opts.has('h') {
			return fmt.Sprint(n / 1024)
		}
		v, unit := float64(n), 0
		for v >= 1024 && unit < 5 {
			v, unit = v/1024, unit+1
		}
		return fmt.Sprintf("%.1f%c", v, "BKMGTP"[unit])
	}
	for _, m := range mounts {
		var s unix.Statfs_t
		if err := unix.Statfs(m.dir, &s); err != nil {
			if len(c.args) > 0 {
				c.failFile(m.dir, err)
			}
			continue
		}
		if s.Blocks == 0 && len(c.args) == 0 {
			continue // it holds nothing that takes room
		}
		unit := uint64(s.Bsize)
		used := (s.Blocks - s.Bfree) * unit
		percent := uint64(0)
		if all := used + s.Bavail*unit; all > 0 {
			percent = (used*100 + all - 1) / all
		}
		c.printf("%-20s %12s %12s %12s %3d%% %s\n", m.source, size(s.Blocks*unit), size(used), size(s.Bavail*unit), percent, m.dir)
	}
	return c.code()
}

func runID(c *call) int {
	uid, gid := os.Geteuid(), os.Getegid()
	all, err := os.Getgroups()
	if err != nil {
		return c.die("%s", reason(err))
	}
	if len(c.args) > 0 {
		u, ok := userByName(c.args[0])
		if !ok {
			return c.die("'%s': no such user", c.args[0])
		}
		uid, gid, all = u.uid, u.gid, nil
		for _, g := range groups() {
			for _, m := range g.members {
				if m == u.name {
					all = append(all, g.gid)
				}
			}
		}
	}
	gids := []int{gid}
	for _, g := range all {
		if g != gid {
			gids = append(gids, g)
		}
	}
	names := c.opts.has('n')
	switch {
	case c.opts.has('u') && names:
		c.println(userName(uid))
	case c.opts.has('u'):
		c.println(uid)
	case c.opts.has('g') && names:
		c.println(groupName(gid))
	case c.opts.has('g'):
		c.println(gid)
	default:
		var list []string
		for _, g := range gids {
			switch {
			case !c.opts.has('G'):
				list = append(list, fmt.Sprintf("%d(%s)", g, groupName(g)))
			case names:
				list = append(list, groupName(g))
			default:
				list = append(list, fmt.Sprint(g))
			}
		}
		if c.opts.has('G') {
			c.println(strings.Join(list, " "))
			break
		}
		c.printf("uid=%d(%s) gid=%d(%s) groups=%s\n", uid, userName(uid), gid, groupName(gid), strings.Join(list, ","))
	}
	return 0
}

func runUname(c *call) int {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return c.die("%s", reason(err))
	}
	var words []string
	for _, f := range []struct {
		option rune
		value  string
	}{
		{'s', unix.ByteSliceToString(u.Sysname[:])}, {'n', unix.ByteSliceToString(u.Nodename[:])},
		{'r', unix.ByteSliceToString(u.Release[:])}, {'v', unix.ByteSliceToString(u.Version[:])},
		{'m', unix.ByteSliceToString(u.Machine[:])}, {'o', "GNU/Linux"},
	} {
		if c.opts.has('a') || c.opts.has(f.option) || len(c.opts) == 0 && f.option == 's' {
			words = append(words, f.value)
		}
	}
	c.println(strings.Join(words, " "))
	return 0
}

// randomLetters gives n letters and digits for the name of a temporary file.
func randomLetters(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
