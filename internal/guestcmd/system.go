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
