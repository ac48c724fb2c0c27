//go:build linux

package guestcmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func runChown(c *call) int {
	if len(c.args) < 2 {
		return c.die("missing operand")
	}
	owner, group, grouped := strings.Cut(c.args[0], ":")
	uid, gid := -1, -1
	if owner != "" {
		u, ok := userByName(owner)
		if n, err := strconv.Atoi(owner); !ok && err == nil {
			uid = n
		} else if !ok {
			return c.die("invalid user: '%s'", owner)
		} else {
			uid = u.uid
			if grouped && group == "" {
				gid = u.gid
			}
		}
	}
	if group != "" {
		g, ok := groupByName(group)
		if n, err := strconv.Atoi(group); !ok && err == nil {
			g = n
		} else if !ok {
			return c.die("invalid group: '%s'", group)
		}
		gid = g
	}
	change := func(path string, link bool) {
		do := os.Chown
		if link {
			do = os.Lchown
		}
		if err := do(path, uid, gid); err != nil {
			c.fail("changing ownership of '%s': %s", path, reason(err))
		}
	}
	for _, path := range c.args[1:] {
		if !c.opts.has('R') {
			change(path, c.opts.has('h'))
			continue
		}
		c.walk(path, func(path string, d fs.DirEntry) { change(path, true) })
	}
	return c.code()
}

// walk visits path and all below it, reporting what can't be read.
func (c *call) walk(path string, do func(path string, d fs.DirEntry)) {
	_ = filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			c.fail("cannot access '%s': %s", path, reason(err))
			if d == nil || d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		do(path, d)
		return nil
	})
}

func runChmod(c *call) int {
	var recursive, quiet, verbose bool
	args := c.args
	// By hand: modes such as -w look like options.
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "Rfv") == "" {
		recursive = recursive || strings.Contains(args[0], "R")
		quiet = quiet || strings.Contains(args[0], "f")
		verbose = verbose || strings.Contains(args[0], "v")
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) < 2 {
		return c.die("missing operand; chmod --help tells more")
	}
	change, err := parseMode(args[0])
	if err != nil {
		return c.die("%v", err)
	}
	do := func(path string) {
		info, err := os.Stat(path)
		if err == nil {
			err = os.Chmod(path, change.apply(info.Mode()))
		}
		switch {
		case err != nil && quiet:
			c.failed = true
		case err != nil:
			c.fail("cannot access '%s': %s", path, reason(err))
		case verbose:
			c.printf("mode of '%s' set to %04o\n", path, change.apply(info.Mode()).Perm())
		}
	}
	for _, path := range args[1:] {
		if !recursive {
			do(path)
			continue
		}
		c.walk(path, func(path string, d fs.DirEntry) {
			if d.Type()&fs.ModeSymlink == 0 {
				do(path)
			}
		})
	}
	return c.code()
}
