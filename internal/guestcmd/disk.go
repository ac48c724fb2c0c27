//go:build linux

package guestcmd

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
