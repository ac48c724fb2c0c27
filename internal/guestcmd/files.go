//go:build linux

package guestcmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func fileCommands() []Command {
	return []Command{
		{Name: "cp", Usage: "[-afipRrv] SOURCE... DEST", spec: "afipRrvdPT",
			long: map[string]rune{"archive": 'a', "force": 'f', "recursive": 'r', "verbose": 'v', "interactive": 'i'},
			Help: "Copies files.\n  -r, -R  directories with all they hold\n  -p      keeps mode, times, and owner if allowed\n  -a      as -rp, symbolic links as such\n  -d, -P  symbolic links as such\n  -f      replaces what can't be opened\n  -i      asks before overwriting\n  -T      DEST is never a directory to copy into\n  -v      says what is done",
			run:  runCopy},
		{Name: "mv", Usage: "[-finvT] SOURCE... DEST", spec: "finvT",
			long: map[string]rune{"force": 'f', "interactive": 'i', "no-clobber": 'n', "verbose": 'v'},
			Help: "Renames or moves files.\n  -f  never asks\n  -i  asks before overwriting\n  -n  never overwrites\n  -T  DEST is never a directory to move into\n  -v  says what is done",
			run:  runMove},
		{Name: "rm", Usage: "[-dfirRv] FILE...", spec: "dfirRv",
			long: map[string]rune{"force": 'f', "recursive": 'r', "dir": 'd', "verbose": 'v', "interactive": 'i'},
			Help: "Removes files.\n  -r, -R  directories with all they hold\n  -d      empty directories\n  -f      missing files are no error\n  -i      asks about each\n  -v      says what is done",
			run:  runRemove},
		{Name: "mkdir", Usage: "[-pv] [-m MODE] DIRECTORY...", spec: "pvm:",
			long: map[string]rune{"parents": 'p', "mode": 'm', "verbose": 'v'},
			Help: "Makes directories.\n  -p       parents too; existing ones are no error\n  -m MODE  with this mode\n  -v       says what is done",
			run:  runMkdir},
		{Name: "rmdir", Usage: "[-p] DIRECTORY...", spec: "p", long: map[string]rune{"parents": 'p'},
			Help: "Removes empty directories.\n  -p  their parents too",
			run:  runRmdir},
		{Name: "touch", Usage: "[-acm] [-d TIME] [-r FILE] FILE...", spec: "acmd:r:",
			long: map[string]rune{"no-create": 'c', "date": 'd', "reference": 'r'},
			Help: "Sets times of files, making those that don't exist.\n  -a       the access time only\n  -m       the modification time only\n  -c       makes none\n  -d TIME  to TIME: @SECONDS, or as 2006-01-02 15:04:05, instead of now\n  -r FILE  to those of FILE",
			run:  runTouch},
		{Name: "ln", Usage: "[-fsnvT] TARGET... LINK", spec: "fsnvT",
			long: map[string]rune{"symbolic": 's', "force": 'f', "no-dereference": 'n', "verbose": 'v'},
			Help: "Makes links.\n  -s  symbolic ones\n  -f  replaces what is there\n  -n  a LINK that is a symbolic link to a directory is replaced itself\n  -T  LINK is never a directory to link into\n  -v  says what is done",
			run:  runLink},
		{Name: "chmod", Usage: "[-Rfv] MODE FILE...", raw: true,
			Help: "Changes the mode of files: octal, or symbolic as in u+x,go-w.\n  -R  directories with all they hold\n  -f  no messages\n  -v  says what is done",
			run:  runChmod},
		{Name: "chown", Usage: "[-Rh] USER[:GROUP] FILE...", spec: "Rh", long: map[string]rune{"recursive": 'R', "no-dereference": 'h'},
			Help: "Changes the owner of files; names or numbers, :GROUP alone for the group.\n  -R  directories with all they hold\n  -h  symbolic links themselves",
			run:  runChown},
		{Name: "mktemp", Usage: "[-dqu] [-p DIR] [TEMPLATE]", spec: "dqup:t",
			long: map[string]rune{"directory": 'd', "quiet": 'q', "dry-run": 'u', "tmpdir": 'p'},
			Help: "Makes a temporary file and prints its name. TEMPLATE ends in at least three X.\n  -d      a directory\n  -u      prints a name only\n  -q      no messages\n  -p DIR  in DIR instead of $TMPDIR or /tmp\n  -t      TEMPLATE is below $TMPDIR",
			run:  runMktemp},
	}
}

// ask asks on standard error and reads the answer from standard input.
func (c *call) ask(format string, args ...any) bool {
	c.out.Flush()
	fmt.Fprintf(os.Stderr, "%s: %s ", c.name, fmt.Sprintf(format, args...))
	line, _ := readLine(c.in)
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}

// readLine reads a line byte by byte: the rest of the input is left to others.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		if n == 1 {
			if b[0] == '\n' {
				return string(line), nil
			}
			line = append(line, b[0])
		}
		if err != nil {
			return string(line), err
		}
	}
}

func runRemove(c *call) int {
	if len(c.args) == 0 {
		if c.opts.has('f') {
			return 0
		}
		return c.die("missing operand")
	}
	for _, path := range c.args {
		base := filepath.Base(strings.TrimRight(path, "/"))
		if abs, err := filepath.Abs(path); err == nil && abs == "/" {
			c.fail("it is dangerous to remove '/'; not done")
			continue
		}
		if base == "." || base == ".." {
			c.fail("refusing to remove '.' or '..': skipping '%s'", path)
			continue
		}
		c.remove(path)
	}
	return c.code()
}

// remove removes path and reports whether it is gone.
func (c *call) remove(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		if !c.opts.has('f') || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			c.fail("cannot remove '%s': %s", path, reason(err))
		}
		return false
	}
	recursive := c.opts.has('r') || c.opts.has('R')
	ask := c.opts.last("fi") == 'i'
	if info.IsDir() && !recursive && !c.opts.has('d') {
		c.fail("cannot remove '%s': Is a directory", path)
		return false
	}
	if info.IsDir() && recursive {
		entries, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			c.fail("cannot remove '%s': %s", path, reason(err))
			return false
		}
		if ask && len(entries) > 0 && !c.ask("descend into directory '%s'?", path) {
			return false
		}
		all := true
		for _, e := range entries {
			all = c.remove(filepath.Join(path, e.Name())) && all
		}
		if !all {
			return false
		}
	}
	if ask && !c.ask("remove '%s'?", path) {
		return false
	}
	if err := os.Remove(path); err != nil {
		c.fail("cannot remove '%s': %s", path, reason(err))
		return false
	}
	if c.opts.has('v') {
		if info.IsDir() {
			c.printf("removed directory '%s'\n", path)
		} else {
			c.printf("removed '%s'\n", path)
		}
	}
	return true
}

func runMkdir(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	for _, path := range c.args {
		var err error
		if c.opts.has('p') {
			err = os.MkdirAll(path, 0o777)
		} else {
			err = os.Mkdir(path, 0o777)
		}
		if err == nil && c.opts.has('m') {
			var change modeChange
			if change, err = parseMode(c.opts.value('m', "")); err == nil {
				err = os.Chmod(path, change.apply(0o777|fs.ModeDir))
			}
		}
		if err != nil {
			c.fail("cannot create directory '%s': %s", path, reason(err))
		} else if c.opts.has('v') {
			c.printf("mkdir: created directory '%s'\n", path)
		}
	}
	return c.code()
}

func runRmdir(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	for _, path := range c.args {
		for path = filepath.Clean(path); ; path = filepath.Dir(path) {
			if err := unix.Rmdir(path); err != nil {
				c.fail("failed to remove '%s': %s", path, reason(err))
				break
			}
			if parent := filepath.Dir(path); !c.opts.has('p') || parent == "." || parent == "/" {
				break
			}
		}
	}
	return c.code()
}

func runTouch(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing file operand")
	}
	access := time.Now()
	if c.opts.has('d') {
		t, err := parseTime(c.opts.value('d', ""))
		if err != nil {
			return c.die("%v", err)
		}
		access = t
	}
	modification := access
	if c.opts.has('r') {
		info, err := os.Stat(c.opts.value('r', ""))
		if err != nil {
			return c.die("failed to get attributes of '%s': %s", c.opts.value('r', ""), reason(err))
		}
		modification = info.ModTime()
		access = modification
		if st, ok := info.Sys().(*unixStat); ok {
			access = time.Unix(st.Atim.Unix())
		}
	}
	// The zero time leaves that one as it is.
	if c.opts.has('a') && !c.opts.has('m') {
		modification = time.Time{}
	}
	if c.opts.has('m') && !c.opts.has('a') {
		access = time.Time{}
	}
	for _, path := range c.args {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if c.opts.has('c') {
				continue
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
			if err != nil {
				c.fail("cannot touch '%s': %s", path, reason(err))
				continue
			}
			f.Close()
		}
		if err := os.Chtimes(path, access, modification); err != nil {
			c.fail("cannot touch '%s': %s", path, reason(err))
		}
	}
	return c.code()
}

func runLink(c *call) int {
	return c.pairs(!c.opts.has('n'), func(target, link string) {
		if c.opts.has('f') {
			if info, err := os.Lstat(link); err == nil && !info.IsDir() {
				os.Remove(link)
			}
		}
		var err error
		if c.opts.has('s') {
			err = os.Symlink(target, link)
		} else {
			err = os.Link(target, link)
		}
		if err != nil {
			c.fail("failed to create link '%s': %s", link, reason(err))
		} else if c.opts.has('v') {
			c.printf("'%s' -> '%s'\n", link, target)
		}
	})
}

func runMktemp(c *call) int {
	dir := c.opts.value('p', os.Getenv("TMPDIR"))
	if dir == "" {
		dir = "/tmp"
	}
	template := "tmp.XXXXXXXXXX"
	switch len(c.args) {
	case 0:
	case 1:
		template = c.args[0]
		if !c.opts.has('p') && !c.opts.has('t') {
			dir = "."
			if strings.ContainsRune(template, '/') {
				dir = ""
			}
		}
	default:
		return c.die("too many templates")
	}
	stem := strings.TrimRight(template, "X")
	count := len(template) - len(stem)
	if count < 3 {
		return c.die("too few X's in template '%s'", template)
	}
	for range 100 {
		name := stem + randomLetters(count)
		path := filepath.Join(dir, name)
		if dir == "." {
			path = name
		}
		var err error
		switch {
		case c.opts.has('u'):
			if _, serr := os.Lstat(path); serr == nil {
				err = fs.ErrExist
			}
		case c.opts.has('d'):
			err = os.Mkdir(path, 0o700)
		default:
			var f *os.File
			if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.Close()
			}
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			if c.opts.has('q') {
				return 1
			}
			return c.die("failed to create '%s': %s", path, reason(err))
		}
		c.println(path)
		return 0
	}
	return c.die("found no free name like '%s'", template)
}

// lines reads all lines of a file without their newlines.
func lines(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
