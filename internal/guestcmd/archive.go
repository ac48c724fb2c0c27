//go:build linux

package guestcmd

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func archiveCommands() []Command {
	gz := "Compresses files to FILE.gz, or standard input to standard output.\n  -d  decompresses   -c  to standard output   -k  keeps the files\n  -f  overwrites     -1 ... -9  fast ... small   -t  tests\n  -n  leaves the name out (it always is)"
	return []Command{
		{Name: "tar", Usage: "-c|-x|-t [-zvkphO] [-f FILE] [-C DIR] [NAME]...", raw: true,
			Help: "Packs files into an archive and unpacks them.\n  -c  creates    -x  extracts    -t  lists\n  -f FILE        the archive; standard input or output if - or not given\n  -C DIR         changes to DIR first\n  -z  with gzip, noticed by itself when reading     -v  names the files\n  -O  extracts to standard output                   -k  keeps existing files\n  -p  modes as in the archive, whatever the umask   -h  follows links\n  --strip-components=N  without the first N parts of names\n  --exclude=PATTERN     without files that match",
			run:  runTar},
		{Name: "gzip", Usage: "[-cdfknt] [-1...-9] [FILE]...", spec: "cdfkntqv123456789", long: gzipLong, Help: gz, run: runGzip},
		{Name: "gunzip", Usage: "[-cfkt] [FILE]...", spec: "cdfkntqv", long: gzipLong, Help: "Decompresses FILE.gz.\n  -c  to standard output   -k  keeps the files\n  -f  overwrites           -t  tests", run: runGzip},
		{Name: "zcat", Usage: "[FILE]...", spec: "f", Help: "Prints what gzip has compressed.", run: runGzip},
	}
}

type tarOptions struct {
	mode              byte // c, x or t
	file, dir         string
	gzip, verbose     bool
	stdout, keep      bool
	preserve, follow  bool
	strip             int
	exclude           []func(string) bool
	absolute, noOwner bool
}

func (c *call) parseTar() (o tarOptions, ok bool) {
	args := c.args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") { // the old form: tar xzf
		letters := "-"
		var values []string
		rest := args[1:]
		for _, l := range args[0] {
			letters += string(l)
			if (l == 'f' || l == 'C') && len(rest) > 0 {
				values, rest = append(values, "-"+string(l)+rest[0]), rest[1:]
				letters = letters[:len(letters)-1]
			}
		}
		args = append(append([]string{letters}, values...), rest...)
		if letters == "-" {
			args = args[1:]
		}
	}
	opts, operands, err := parseOptions(args, "cxtf:C:zvOkphPS:E:oam", map[string]rune{
		"create": 'c', "extract": 'x', "get": 'x', "list": 't', "file": 'f', "directory": 'C', "gzip": 'z', "verbose": 'v',
		"to-stdout": 'O', "keep-old-files": 'k', "preserve-permissions": 'p', "dereference": 'h', "absolute-names": 'P',
		"strip-components": 'S', "exclude": 'E', "no-same-owner": 'o',
	})
	if err != nil {
		c.fail("%v; tar --help tells more", err)
		return o, false
	}
	modes := 0
	for _, m := range "cxt" {
		if opts.has(m) {
			o.mode = byte(m)
			modes++
		}
	}
	if modes != 1 {
		c.fail("give one of -c, -x and -t")
		return o, false
	}
	o.file, o.dir = opts.value('f', "-"), opts.value('C', "")
	o.gzip, o.verbose, o.stdout, o.keep = opts.has('z'), opts.has('v'), opts.has('O'), opts.has('k')
	o.preserve, o.follow, o.absolute, o.noOwner = opts.has('p') || os.Geteuid() == 0, opts.has('h'), opts.has('P'), opts.has('o') || os.Geteuid() != 0
	if opts.has('a') && (strings.HasSuffix(o.file, ".gz") || strings.HasSuffix(o.file, ".tgz")) {
		o.gzip = true
	}
	if opts.has('S') {
		if o.strip, err = strconv.Atoi(opts.value('S', "")); err != nil || o.strip < 0 {
			c.fail("invalid number '%s'", opts.value('S', ""))
			return o, false
		}
	}
	for _, p := range opts['E'] {
		match, err := globMatcher(p, false)
		if err != nil {
			c.fail("invalid pattern '%s'", p)
			return o, false
		}
		o.exclude = append(o.exclude, func(path string) bool { return match(path) || match(filepath.Base(path)) })
	}
	c.args = operands
	return o, true
}

func (o tarOptions) excluded(path string) bool {
	for _, match := range o.exclude {
		if match(path) {
			return true
		}
	}
	return false
}

func runTar(c *call) int {
	o, ok := c.parseTar()
	if !ok {
		return 2
	}
	var err error
	if o.mode == 'c' {
		err = c.tarCreate(o)
	} else {
		err = c.tarRead(o)
	}
	if err != nil {
		c.fail("%v", err)
	}
	if c.failed {
		return 2
	}
	return 0
}

func (c *call) tarCreate(o tarOptions) (err error) {
	if len(c.args) == 0 {
		return errors.New("refusing to create an empty archive")
	}
	out := io.Writer(os.Stdout)
	// With the archive on standard output, names go to standard error.
	names := io.Writer(os.Stderr)
	if o.file != "-" {
		f, err := os.Create(o.file)
		if err != nil {
			return fmt.Errorf("%s: %s", o.file, reason(err))
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out, names = f, c.out
	}
	if o.dir != "" {
		if err := os.Chdir(o.dir); err != nil {
			return fmt.Errorf("%s: %s", o.dir, reason(err))
		}
	}
	b := bufio.NewWriterSize(out, 64<<10)
	defer func() { err = errors.Join(err, b.Flush()) }()
	packed := io.Writer(b)
	if o.gzip {
		z := gzip.NewWriter(b)
		defer func() { err = errors.Join(err, z.Close()) }()
		packed = z
	}
	w := tar.NewWriter(packed)
	defer func() { err = errors.Join(err, w.Close()) }()
	type inode struct{ dev, ino uint64 }
	links := map[inode]string{}
	var add func(path string) error
	add = func(path string) error {
		if o.excluded(path) {
			return nil
		}
		stat := os.Lstat
		if o.follow {
			stat = os.Stat
		}
		info, err := stat(path)
		if err != nil {
			c.failFile(path, err)
			return nil
		}
		if info.Mode()&fs.ModeSocket != 0 {
			c.fail("%s: socket ignored", path)
			return nil
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				c.failFile(path, err)
				return nil
			}
		}
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			c.failFile(path, err)
			return nil
		}
		h.Name = path
		if !o.absolute {
			h.Name = strings.TrimLeft(path, "/")
		}
		if h.Name == "" {
			h.Name = "./"
		}
		if info.IsDir() && !strings.HasSuffix(h.Name, "/") {
			h.Name += "/"
		}
		st := info.Sys().(*unixStat)
		h.Uname, h.Gname = UserName(int(st.Uid)), groupName(int(st.Gid))
		if st.Nlink > 1 && info.Mode().IsRegular() {
			id := inode{uint64(st.Dev), st.Ino}
			if first, ok := links[id]; ok {
				h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			} else {
				links[id] = h.Name
			}
		}
		if o.verbose {
			fmt.Fprintln(names, h.Name)
		}
		if h.Typeflag == tar.TypeReg {
			f, err := os.Open(path)
			if err != nil {
				c.failFile(path, err)
				return nil
			}
			defer f.Close()
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			if n, err := io.Copy(w, io.LimitReader(f, h.Size)); err != nil {
				return err
			} else if n < h.Size {
				return fmt.Errorf("%s: file shrank while it was read", path)
			}
			return nil
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if !info.IsDir() {
			return nil
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			c.failFile(path, err)
		}
		for _, e := range entries {
			if err := add(strings.TrimSuffix(path, "/") + "/" + e.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	for _, path := range c.args {
		if err := add(path); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) tarRead(o tarOptions) error {
	in := c.in
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return fmt.Errorf("%s: %s", o.file, reason(err))
		}
		defer f.Close()
		in = f
	}
	if o.dir != "" {
		if err := os.Chdir(o.dir); err != nil {
			return fmt.Errorf("%s: %s", o.dir, reason(err))
		}
	}
	b := bufio.NewReaderSize(in, 64<<10)
	packed := io.Reader(b)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return err
		}
		packed = z
	}
	r := tar.NewReader(packed)
	wanted := map[string]bool{}
	for _, name := range c.args {
		wanted[strings.TrimSuffix(name, "/")] = false
	}
	type dirTime struct {
		path string
		h    *tar.Header
	}
	var dirs []dirTime
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !selected(h.Name, wanted) || o.excluded(strings.TrimSuffix(h.Name, "/")) {
			continue
		}
		if o.mode == 't' {
			c.listEntry(h, o.verbose)
			continue
		}
		name := h.Name
		for range o.strip {
			_, name, _ = strings.Cut(strings.TrimPrefix(name, "./"), "/")
		}
		if strings.Trim(name, "/") == "" {
			continue
		}
		if o.verbose && !o.stdout {
			c.println(h.Name)
		}
		if o.stdout {
			if h.Typeflag == tar.TypeReg {
				if _, err := io.Copy(c.out, r); err != nil {
					return err
				}
			}
			continue
		}
		path, err := c.extract(o, h, name, r)
		if err != nil {
			c.fail("%s: %s", h.Name, reason(err))
			continue
		}
		if h.Typeflag == tar.TypeDir {
			dirs = append(dirs, dirTime{path, h})
		}
	}
	// Directories last: filling them has changed their times, and some modes
	// would have been in the way.
	for i := len(dirs) - 1; i >= 0; i-- {
		d := dirs[i]
		_ = os.Chmod(d.path, d.h.FileInfo().Mode())
		_ = os.Chtimes(d.path, d.h.ModTime, d.h.ModTime)
	}
	for name, found := range wanted {
		if !found {
			c.fail("%s: Not found in archive", name)
		}
	}
	return nil
}

// selected tells whether an entry is one of the wanted or below one; with
// nothing wanted, all are.
func selected(name string, wanted map[string]bool) bool {
	if len(wanted) == 0 {
		return true
	}
	for path := strings.TrimSuffix(name, "/"); path != "" && path != "."; path = filepath.Dir(path) {
		if _, ok := wanted[path]; ok {
			wanted[path] = true
			return true
		}
		if path == "/" {
			break
		}
	}
	return false
}

func (c *call) listEntry(h *tar.Header, verbose bool) {
	if !verbose {
		c.println(h.Name)
		return
	}
	owner := h.Uname + "/" + h.Gname
	if h.Uname == "" {
		owner = fmt.Sprintf("%d/%d", h.Uid, h.Gid)
	}
	c.printf("%s %s %*d %s %s", modeString(h.FileInfo().Mode()), owner, max(1, 19-len(owner)-1), h.Size, h.ModTime.Local().Format("2006-01-02 15:04"), h.Name)
	switch h.Typeflag {
	case tar.TypeSymlink:
		c.printf(" -> %s", h.Linkname)
	case tar.TypeLink:
		c.printf(" link to %s", h.Linkname)
	}
	c.println()
}

// extract makes one entry. It never leaves the current directory: not by an
// absolute name, not by .., and not through a symbolic link that an entry
// before has made.
func (c *call) extract(o tarOptions, h *tar.Header, name string, r io.Reader) (string, error) {
	path := filepath.Clean("/" + name)[1:]
	if path == "" {
		path = "."
	}
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if target, err := filepath.EvalSymlinks(dir); err != nil || filepath.IsAbs(target) || strings.HasPrefix(target, "..") {
				return path, errors.New("would leave the directory through a link")
			}
		}
	}
	if dir := filepath.Dir(path); dir != "." {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return path, err
		}
	}
	if existing, err := os.Lstat(path); err == nil && h.Typeflag != tar.TypeDir {
		if o.keep {
			return path, errors.New("exists already")
		}
		if !existing.IsDir() {
			if err := os.Remove(path); err != nil {
				return path, err
			}
		}
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeReg:
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode.Perm())
		if err != nil {
			return path, err
		}
		_, err = io.Copy(f, r)
		if err = errors.Join(err, f.Close()); err != nil {
			return path, err
		}
	case tar.TypeDir:
		if err := os.MkdirAll(path, mode.Perm()|0o700); err != nil {
			return path, err
		}
	case tar.TypeSymlink:
		if err := os.Symlink(h.Linkname, path); err != nil {
			return path, err
		}
	case tar.TypeLink:
		if err := os.Link(filepath.Clean("/" + h.Linkname)[1:], path); err != nil {
			return path, err
		}
		return path, nil
	case tar.TypeFifo:
		if err := unix.Mkfifo(path, uint32(mode.Perm())); err != nil {
			return path, err
		}
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if h.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		if err := unix.Mknod(path, kind|uint32(mode.Perm()), int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))); err != nil {
			return path, err
		}
	default:
		return path, fmt.Errorf("unknown kind of entry '%c'", h.Typeflag)
	}
	if !o.noOwner {
		if err := os.Lchown(path, h.Uid, h.Gid); err != nil {
			return path, err
		}
	}
	if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeDir {
		return path, nil
	}
	if o.preserve {
		if err := os.Chmod(path, mode); err != nil {
			return path, err
		}
	}
	return path, os.Chtimes(path, h.ModTime, h.ModTime)
}
