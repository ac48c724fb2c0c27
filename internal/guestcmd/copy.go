//go:build linux

package guestcmd

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pairs gives source and destination for each operand of cp, mv and ln, which
// share how they read them: into a directory under the own name, or to a name.
func (c *call) pairs(intoLinkedDir bool, do func(from, to string)) int {
	if len(c.args) == 0 {
		return c.die("missing operand; %s --help tells more", c.name)
	}
	if len(c.args) == 1 {
		if c.name == "ln" {
			do(c.args[0], filepath.Base(c.args[0]))
			return c.code()
		}
		return c.die("missing destination after '%s'", c.args[0])
	}
	sources, dest := c.args[:len(c.args)-1], c.args[len(c.args)-1]
	info, err := os.Stat(dest)
	into := err == nil && info.IsDir() && !c.opts.has('T')
	if into && !intoLinkedDir {
		if l, err := os.Lstat(dest); err == nil && l.Mode()&fs.ModeSymlink != 0 {
			into = false
		}
	}
	if !into && len(sources) > 1 {
		return c.die("target '%s' is not a directory", dest)
	}
	if !into && strings.HasSuffix(dest, "/") && c.name != "ln" {
		if src, err := os.Stat(sources[0]); err != nil || !src.IsDir() {
			return c.die("cannot create '%s': Not a directory", dest)
		}
	}
	for _, source := range sources {
		if into {
			do(source, filepath.Join(dest, filepath.Base(source)))
		} else {
			do(source, dest)
		}
	}
	return c.code()
}

func runCopy(c *call) int {
	k := copier{call: c,
		recursive: c.opts.has('r') || c.opts.has('R') || c.opts.has('a'),
		preserve:  c.opts.has('p') || c.opts.has('a'),
		links:     c.opts.has('a') || c.opts.has('d') || c.opts.has('P'),
	}
	return c.pairs(true, func(from, to string) {
		if abs, err := filepath.Abs(from); err == nil && k.recursive {
			if dst, err := filepath.Abs(to); err == nil && strings.HasPrefix(dst+"/", abs+"/") && dst != abs {
				c.fail("cannot copy a directory, '%s', into itself, '%s'", from, to)
				return
			}
		}
		k.copy(from, to, true)
	})
}

type copier struct {
	*call
	recursive, preserve, links bool
}

func (k copier) copy(from, to string, top bool) {
	stat := os.Lstat
	// Links given on the command line are followed by -r as by cp without it;
	// those met below a directory are copied as they are.
	if top && !k.links && !k.recursive || !k.recursive && !k.links {
		stat = os.Stat
	}
	info, err := stat(from)
	if err != nil {
		k.fail("cannot stat '%s': %s", from, reason(err))
		return
	}
	if existing, err := os.Stat(to); err == nil && os.SameFile(info, existing) {
		k.fail("'%s' and '%s' are the same file", from, to)
		return
	}
	if info.IsDir() {
		k.copyDir(from, to, info)
		return
	}
	if existing, err := os.Lstat(to); err == nil {
		if existing.IsDir() {
			k.fail("cannot overwrite directory '%s' with non-directory '%s'", to, from)
			return
		}
		if k.opts.has('i') && !k.ask("overwrite '%s'?", to) {
			return
		}
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		var target string
		if target, err = os.Readlink(from); err == nil {
			os.Remove(to)
			err = os.Symlink(target, to)
		}
	case mode.IsRegular() || !k.recursive:
		err = k.copyFile(from, to, info)
	case mode&fs.ModeNamedPipe != 0:
		os.Remove(to)
		err = unix.Mkfifo(to, uint32(mode.Perm()))
	default:
		err = errors.New("neither a file, a directory, a link nor a pipe")
	}
	if err != nil {
		k.fail("cannot copy '%s' to '%s': %s", from, to, reason(err))
		return
	}
	k.keep(to, info)
	if k.opts.has('v') {
		k.printf("'%s' -> '%s'\n", from, to)
	}
}

func (k copier) copyFile(from, to string, info fs.FileInfo) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil && k.opts.has('f') {
		os.Remove(to)
		dst, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

func (k copier) copyDir(from, to string, info fs.FileInfo) {
	if !k.recursive {
		k.fail("-r not specified; omitting directory '%s'", from)
		return
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		k.failFile(from, err)
		return
	}
	// Writable while it is filled; the real mode comes afterwards.
	if err := os.Mkdir(to, info.Mode().Perm()|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		k.fail("cannot create directory '%s': %s", to, reason(err))
		return
	} else if err != nil {
		if existing, err := os.Stat(to); err == nil && !existing.IsDir() {
			k.fail("cannot overwrite non-directory '%s' with directory '%s'", to, from)
			return
		}
	} else if k.opts.has('v') {
		k.printf("'%s' -> '%s'\n", from, to)
	}
	for _, e := range entries {
		k.copy(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), false)
	}
	k.keep(to, info)
}

// keep gives the copy what -p asks for.
func (k copier) keep(to string, info fs.FileInfo) {
	if !k.preserve {
		return
	}
	st, ok := info.Sys().(*unixStat)
	if ok {
		// Only root may give files away; others keep what they made.
		_ = os.Lchown(to, int(st.Uid), int(st.Gid))
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return
	}
	if err := os.Chmod(to, info.Mode()); err != nil {
		k.failFile(to, err)
	}
	if err := os.Chtimes(to, info.ModTime(), info.ModTime()); err != nil {
		k.failFile(to, err)
	}
}

func runMove(c *call) int {
	return c.pairs(true, func(from, to string) {
		info, err := os.Lstat(from)
		if err != nil {
			c.fail("cannot stat '%s': %s", from, reason(err))
			return
		}
		if existing, err := os.Lstat(to); err == nil {
			switch {
			case os.SameFile(info, existing):
				c.fail("'%s' and '%s' are the same file", from, to)
				return
			case existing.IsDir() && !info.IsDir():
				c.fail("cannot overwrite directory '%s' with non-directory", to)
				return
			case c.opts.last("fin") == 'n':
				return
			case c.opts.last("fin") == 'i' && !c.ask("overwrite '%s'?", to):
				return
			}
		}
		err = os.Rename(from, to)
		if errors.Is(err, unix.EXDEV) {
			k := copier{call: c, recursive: true, preserve: true, links: true}
			before := c.failed
			c.failed = false
			k.copy(from, to, true)
			if !c.failed {
				err = os.RemoveAll(from)
			} else {
				err = nil // reported already
			}
			c.failed = c.failed || before
		}
		if err != nil {
			c.fail("cannot move '%s' to '%s': %s", from, to, reason(err))
			return
		}
		if c.opts.has('v') {
			c.printf("renamed '%s' -> '%s'\n", from, to)
		}
	})
}
