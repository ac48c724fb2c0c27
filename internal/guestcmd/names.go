//go:build linux

package guestcmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth-ssh/berth/internal/sftpserver"
)

func nameCommands() []Command {
	return []Command{
		{Name: "basename", Usage: "NAME [SUFFIX] | -a [-s SUFFIX] NAME...", spec: "+as:", Help: "Prints the last part of a path, without SUFFIX.\n  -a         of several\n  -s SUFFIX  without it",
			run: runBasename},
		{Name: "dirname", Usage: "NAME...", spec: "", Help: "Prints paths without their last part.",
			run: func(c *call) int {
				if len(c.args) == 0 {
					return c.die("missing operand")
				}
				for _, a := range c.args {
					trimmed := strings.TrimRight(a, "/")
					if trimmed == "" && a != "" {
						trimmed = "/"
					}
					c.println(filepath.Dir(trimmed))
				}
				return 0
			}},
		{Name: "readlink", Usage: "[-fnem] FILE...", spec: "fnem", long: map[string]rune{"canonicalize": 'f', "no-newline": 'n'},
			Help: "Prints where symbolic links point to.\n  -f  all links resolved; the last part may be missing\n  -e  all must be there   -m  any part may be missing\n  -n  without a new line",
			run:  runReadlink},
		{Name: "realpath", Usage: "[-em] FILE...", spec: "em", Help: "Prints absolute paths with all links resolved.\n  -e  all parts must be there   -m  any part may be missing", run: runReadlink},
		{Name: "stat", Usage: "[-L] [-c FORMAT] FILE...", spec: "Lc:", long: map[string]rune{"format": 'c', "dereference": 'L'},
			Help: "Prints what is known about files. FORMAT knows %n %s %a %A %F %u %U %g %G %i %h %b %Y %y %X %N %%.\n  -L  follows links",
			run:  runStat},
		{Name: "truncate", Usage: "-s [+-]SIZE FILE...", spec: "cs:", long: map[string]rune{"size": 's', "no-create": 'c'},
			Help: "Sets the size of files. SIZE may end in k, M or G.\n  -c  makes no files", run: runTruncate},
	}
}

func runBasename(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	suffix := c.opts.value('s', "")
	names := c.args
	if !c.opts.has('a') && !c.opts.has('s') {
		if len(names) > 2 {
			return c.die("extra operand '%s'", names[2])
		}
		if len(names) == 2 {
			suffix, names = names[1], names[:1]
		}
	}
	for _, name := range names {
		base := ""
		if name != "" {
			base = filepath.Base(name)
		}
		if base != suffix {
			base = strings.TrimSuffix(base, suffix)
		}
		c.println(base)
	}
	return 0
}

func runReadlink(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	mode := c.opts.last("fem")
	if c.name == "realpath" && mode == 0 {
		mode = 'f'
	}
	for _, path := range c.args {
		var out string
		var err error
		if mode == 0 {
			out, err = os.Readlink(path)
		} else {
			out, err = canonical(path, mode)
		}
		if err != nil {
			if c.name == "realpath" {
				c.failFile(path, err)
			}
			c.failed = true // readlink says nothing, as GNU's
			continue
		}
		if c.opts.has('n') {
			c.printf("%s", out)
		} else {
			c.println(out)
		}
	}
	return c.code()
}

// canonical resolves all links. How much may be missing depends on the mode:
// nothing (e), the last part (f), anything (m).
func canonical(path string, mode rune) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err == nil || mode == 'e' || !errors.Is(err, fs.ErrNotExist) {
		return resolved, err
	}
	if target, lerr := os.Readlink(abs); lerr == nil { // a link to nowhere
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(abs), target)
		}
		return canonical(target, mode)
	}
	dir, derr := filepath.EvalSymlinks(filepath.Dir(abs))
	if derr == nil {
		return filepath.Join(dir, filepath.Base(abs)), nil
	}
	if mode == 'f' {
		return "", derr
	}
	parent, err := canonical(filepath.Dir(abs), mode)
	return filepath.Join(parent, filepath.Base(abs)), err
}

func runStat(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	for _, path := range c.args {
		stat := os.Lstat
		if c.opts.has('L') {
			stat = os.Stat
		}
		info, err := stat(path)
		if err != nil {
			c.fail("cannot statx '%s': %s", path, reason(err))
			continue
		}
		format := c.opts.value('c', "  File: %N\n  Size: %s\tBlocks: %b\t%F\nInode: %i\tLinks: %h\nAccess: (0%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nModify: %y")
		c.println(statFormat(format, path, info))
	}
	return c.code()
}

func statFormat(format, path string, info fs.FileInfo) string {
	st := info.Sys().(*unixStat)
	kind := map[byte]string{'d': "directory", 'l': "symbolic link", 'p': "fifo", 's': "socket", 'c': "character special file", 'b': "block special file"}[modeString(info.Mode())[0]]
	if kind == "" {
		kind = "regular file"
		if info.Size() == 0 {
			kind = "regular empty file"
		}
	}
	const stamp = "2006-01-02 15:04:05.000000000 -0700"
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'n':
			b.WriteString(path)
		case 'N':
			b.WriteString("'" + path + "'")
			if target, err := os.Readlink(path); err == nil {
				b.WriteString(" -> '" + target + "'")
			}
		case 's':
			fmt.Fprint(&b, info.Size())
		case 'a':
			fmt.Fprintf(&b, "%o", permBits(info.Mode()))
		case 'A':
			b.WriteString(modeString(info.Mode()))
		case 'F':
			b.WriteString(kind)
		case 'u':
			fmt.Fprint(&b, st.Uid)
		case 'U':
			b.WriteString(UserName(int(st.Uid)))
		case 'g':
			fmt.Fprint(&b, st.Gid)
		case 'G':
			b.WriteString(groupName(int(st.Gid)))
		case 'i':
			fmt.Fprint(&b, st.Ino)
		case 'h':
			fmt.Fprint(&b, st.Nlink)
		case 'b':
			fmt.Fprint(&b, st.Blocks)
		case 'Y':
			fmt.Fprint(&b, info.ModTime().Unix())
		case 'X':
			fmt.Fprint(&b, st.Atim.Sec)
		case 'y':
			b.WriteString(info.ModTime().Format(stamp))
		case 'x':
			b.WriteString(time.Unix(st.Atim.Unix()).Format(stamp))
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

func runTruncate(c *call) int {
	size := c.opts.value('s', "")
	if size == "" || len(c.args) == 0 {
		return c.die("give -s SIZE and a file")
	}
	sign := size[0]
	n, err := parseSize(strings.TrimLeft(size, "+-"))
	if err != nil {
		return c.die("invalid number: '%s'", size)
	}
	for _, path := range c.args {
		flag := os.O_WRONLY | os.O_CREATE
		if c.opts.has('c') {
			flag = os.O_WRONLY
		}
		f, err := os.OpenFile(path, flag, 0o666)
		if err != nil {
			if !c.opts.has('c') || !errors.Is(err, fs.ErrNotExist) {
				c.fail("cannot open '%s' for writing: %s", path, reason(err))
			}
			continue
		}
		to := n
		if info, err := f.Stat(); err == nil && sign == '+' {
			to = info.Size() + n
		} else if err == nil && sign == '-' {
			to = max(0, info.Size()-n)
		}
		if err := errors.Join(f.Truncate(to), f.Close()); err != nil {
			c.failFile(path, err)
		}
	}
	return c.code()
}

func xargsCommands() []Command {
	return []Command{{Name: "xargs", Usage: "[-0rt] [-n N] [-L N] [-P N] [-I STRING] [-d C] [COMMAND [ARG]...]", spec: "+0rtn:L:P:I:d:",
		long: map[string]rune{"null": '0', "no-run-if-empty": 'r', "verbose": 't', "max-args": 'n', "max-lines": 'L', "max-procs": 'P', "delimiter": 'd'},
		Help: "Runs a command, echo if none is given, with the words of standard input.\n  -0         words end with NUL        -d C  words end with C\n  -n N       N words at a time         -L N  N lines at a time\n  -I STRING  one line at a time, in place of STRING\n  -P N       N commands at once        -r    none if there are no words\n  -t         shows the commands",
		run:  runXargs}}
}

// splitWords splits as xargs does: at blanks and newlines, with quotes and
// backslashes.
func splitWords(data []byte) ([][]string, error) {
	var all [][]string
	var line []string
	var word []byte
	inWord := false
	var quote byte
	endWord := func() {
		if inWord {
			line = append(line, string(word))
		}
		word, inWord = nil, false
	}
	for i := 0; i < len(data); i++ {
		b := data[i]
		switch {
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0 && b == '\n':
			return nil, fmt.Errorf("unmatched %c quote", quote)
		case quote != 0:
			word = append(word, b)
		case b == '\'' || b == '"':
			quote, inWord = b, true
		case b == '\\' && i+1 < len(data):
			i++
			word, inWord = append(word, data[i]), true
		case b == ' ' || b == '\t':
			endWord()
		case b == '\n':
			endWord()
			if len(line) > 0 {
				all = append(all, line)
			}
			line = nil
		default:
			word, inWord = append(word, b), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unmatched %c quote", quote)
	}
	endWord()
	if len(line) > 0 {
		all = append(all, line)
	}
	return all, nil
}

func runXargs(c *call) int {
	number := func(l rune, otherwise int) int {
		if !c.opts.has(l) {
			return otherwise
		}
		n, err := strconv.Atoi(c.opts.value(l, ""))
		if err != nil || n < 0 || n == 0 && l != 'P' {
			c.fail("invalid number '%s' for -%c", c.opts.value(l, ""), l)
		}
		return n
	}
	maxWords, maxLines, parallel := number('n', 0), number('L', 0), number('P', 1)
	if c.failed {
		return 1
	}
	if parallel == 0 {
		parallel = 64
	}
	argv := c.args
	if len(argv) == 0 {
		argv = []string{"echo"}
	}
	data, err := readAll(c.in)
	if err != nil {
		return c.die("%s", reason(err))
	}
	// The words, in groups that belong together: lines.
	var groups [][]string
	replace := c.opts.value('I', "")
	switch {
	case c.opts.has('0') || c.opts.has('d'):
		delimiter := "\x00"
		if c.opts.last("0d") == 'd' {
			set, err := expandSet(c.opts.value('d', ""))
			if err != nil || len(set) != 1 {
				return c.die("the delimiter must be a single character")
			}
			delimiter = string(set)
		}
		text := strings.TrimSuffix(string(data), delimiter)
		if len(data) > 0 {
			for _, w := range strings.Split(text, delimiter) {
				groups = append(groups, []string{w})
			}
		}
	case replace != "":
		for _, line := range bytes.Split(data, []byte{'\n'}) {
			if line = bytes.TrimLeft(line, " \t"); len(line) > 0 {
				groups = append(groups, []string{string(line)})
			}
		}
	default:
		if groups, err = splitWords(data); err != nil {
			return c.die("%v", err)
		}
	}
	var commands [][]string
	if replace != "" {
		for _, g := range groups {
			filled := make([]string, len(argv))
			for i, a := range argv {
				filled[i] = strings.ReplaceAll(a, replace, g[0])
			}
			commands = append(commands, filled)
		}
	} else {
		var words []string
		size, linesIn := 0, 0
		flush := func() {
			commands = append(commands, append(argv[:len(argv):len(argv)], words...))
			words, size, linesIn = nil, 0, 0
		}
		for _, g := range groups {
			for _, w := range g {
				// 128 KB a command, as GNU's: well below what systems allow.
				if len(words) > 0 && (maxWords > 0 && len(words) >= maxWords || size+len(w)+1 > 128<<10) {
					flush()
				}
				words = append(words, w)
				size += len(w) + 1
			}
			if linesIn++; maxLines > 0 && linesIn >= maxLines {
				flush()
			}
		}
		if len(words) > 0 || len(commands) == 0 && !c.opts.has('r') {
			flush()
		}
	}
	return c.runAll(commands, parallel)
}

// runAll runs commands, so many at once, and gives xargs' exit code.
func (c *call) runAll(commands [][]string, parallel int) int {
	codes := make(chan int)
	running, code := 0, 0
	take := func() (stop bool) {
		running--
		switch n := <-codes; {
		case n == 126 || n == 127 || n == 255:
			code, stop = n, true
			if n == 255 {
				code = 124
			}
		case n > 128 && n != 0:
			code, stop = 125, true
		case n != 0 && code == 0:
			code = 123
		}
		return stop
	}
	for _, argv := range commands {
		if running == parallel && take() {
			break
		}
		if c.opts.has('t') {
			fmt.Fprintln(os.Stderr, strings.Join(argv, " "))
		}
		running++
		go func() {
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			err := cmd.Run()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				fmt.Fprintf(os.Stderr, "xargs: %s: %s\n", argv[0], startReason(err))
			}
			codes <- exitCode(err)
		}()
	}
	for running > 0 {
		take()
	}
	return code
}

// readAll reads standard input to its end.
func readAll(f *os.File) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(f)
	return b.Bytes(), err
}

func sftpCommands() []Command {
	return []Command{{Name: "sftp-server", Usage: "[-R] [-d DIR]", spec: "Rd:f:l:u:eh",
		// Where the seed's default configuration and Debian have it.
		Paths: []string{"/usr/lib/openssh/sftp-server"},
		Help:  "Serves files over SFTP on standard input and output; ssh servers start it.\n  -R      read-only\n  -d DIR  begins in DIR",
		run:   runSFTP}}
}

func runSFTP(c *call) int {
	if dir := c.opts.value('d', ""); dir != "" {
		if err := os.Chdir(dir); err != nil {
			return c.die("%s: %s", dir, reason(err))
		}
	}
	if err := sftpserver.Serve(os.Stdin, os.Stdout, c.opts.has('R')); err != nil {
		return c.die("%v", err)
	}
	return 0
}
