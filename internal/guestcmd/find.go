//go:build linux

package guestcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func findCommands() []Command {
	return []Command{{
		Name: "find", Usage: "[PATH]... [EXPRESSION]", raw: true,
		Help: `Finds files below each PATH, the current directory if none, and prints them.
  -name, -iname PATTERN   the name matches; i ignores case
  -path PATTERN           the whole path matches
  -type f|d|l|p|s|c|b     the kind
  -size [+-]N[ckMG]       more than, less than, or N blocks, bytes, KB, MB, GB
  -mtime, -mmin [+-]N     changed N days or minutes ago
  -newer FILE             changed after FILE was
  -perm [-]MODE           exactly these mode bits, or with - at least them
  -user, -group NAME      owned by
  -empty                  an empty file or directory
  -maxdepth, -mindepth N  how deep
  -prune                  don't go below it
  -print, -print0         print it; the default
  -delete                 remove it
  -exec COMMAND {} ;      run for each file, true if it ends with 0
  -exec COMMAND {} +      run with many files at once
  ! E, E E, E -o E, ( E ) not, and, or, grouping`,
		run: runFind,
	}}
}

// finding is a file as find's tests see it.
type finding struct {
	path  string
	info  fs.FileInfo
	prune bool
}

type findTest func(*finding) bool

type finder struct {
	*call
	tokens             []string
	minDepth, maxDepth int
	depthFirst, acts   bool
	atEnd              []func()
	now                time.Time
}

func runFind(c *call) int {
	f := &finder{call: c, maxDepth: 1 << 30, now: time.Now()}
	args := c.args
	var paths []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") && args[0] != "(" && args[0] != "!" {
		paths, args = append(paths, args[0]), args[1:]
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	f.tokens = args
	test := func(*finding) bool { return true }
	if len(args) > 0 {
		t, err := f.or()
		if err == nil && len(f.tokens) > 0 {
			err = fmt.Errorf("unexpected '%s'", f.tokens[0])
		}
		if err != nil {
			return c.die("%v", err)
		}
		test = t
	}
	if !f.acts {
		inner := test
		test = func(at *finding) bool {
			if inner(at) {
				f.println(at.path)
			}
			return true
		}
	}
	for _, path := range paths {
		f.visit(path, 0, test)
	}
	for _, do := range f.atEnd {
		do()
	}
	return c.code()
}

func (f *finder) visit(path string, depth int, test findTest) {
	info, err := os.Lstat(path)
	if err != nil {
		f.fail("'%s': %s", path, reason(err))
		return
	}
	at := &finding{path: path, info: info}
	if !f.depthFirst && depth >= f.minDepth {
		test(at)
	}
	if info.IsDir() && depth < f.maxDepth && !at.prune {
		entries, err := os.ReadDir(path)
		if err != nil {
			f.fail("'%s': %s", path, reason(err))
		}
		for _, e := range entries {
			f.visit(strings.TrimSuffix(path, "/")+"/"+e.Name(), depth+1, test)
		}
	}
	if f.depthFirst && depth >= f.minDepth {
		test(at)
	}
}

func (f *finder) next() (string, bool) {
	if len(f.tokens) == 0 {
		return "", false
	}
	t := f.tokens[0]
	f.tokens = f.tokens[1:]
	return t, true
}

func (f *finder) peek() string {
	if len(f.tokens) == 0 {
		return ""
	}
	return f.tokens[0]
}

func (f *finder) or() (findTest, error) {
	left, err := f.and()
	for err == nil && (f.peek() == "-o" || f.peek() == "-or") {
		f.next()
		var right findTest
		if right, err = f.and(); err == nil {
			l := left
			left = func(at *finding) bool { return l(at) || right(at) }
		}
	}
	return left, err
}

func (f *finder) and() (findTest, error) {
	left, err := f.not()
	for err == nil {
		switch f.peek() {
		case "-a", "-and":
			f.next()
		case "", "-o", "-or", ")":
			return left, nil
		}
		var right findTest
		if right, err = f.not(); err == nil {
			l := left
			left = func(at *finding) bool { return l(at) && right(at) }
		}
	}
	return left, err
}

func (f *finder) not() (findTest, error) {
	switch f.peek() {
	case "!", "-not":
		f.next()
		t, err := f.not()
		return func(at *finding) bool { return !t(at) }, err
	case "(":
		f.next()
		t, err := f.or()
		if end, _ := f.next(); err == nil && end != ")" {
			err = errors.New("missing ')'")
		}
		return t, err
	}
	return f.primary()
}

func (f *finder) primary() (findTest, error) {
	name, ok := f.next()
	if !ok {
		return nil, errors.New("the expression ends too early")
	}
	switch name {
	case "-print":
		f.acts = true
		return func(at *finding) bool { f.println(at.path); return true }, nil
	case "-print0":
		f.acts = true
		return func(at *finding) bool { f.printf("%s\x00", at.path); return true }, nil
	case "-prune":
		return func(at *finding) bool { at.prune = true; return true }, nil
	case "-depth":
		f.depthFirst = true
		return func(*finding) bool { return true }, nil
	case "-true":
		return func(*finding) bool { return true }, nil
	case "-delete":
		f.acts, f.depthFirst = true, true
		return func(at *finding) bool {
			if at.path == "." {
				return true
			}
			if err := os.Remove(at.path); err != nil {
				f.fail("cannot delete '%s': %s", at.path, reason(err))
				return false
			}
			return true
		}, nil
	case "-empty":
		return func(at *finding) bool {
			if at.info.IsDir() {
				entries, err := os.ReadDir(at.path)
				return err == nil && len(entries) == 0
			}
			return at.info.Mode().IsRegular() && at.info.Size() == 0
		}, nil
	case "-exec":
		return f.exec()
	}
	switch name {
	case "-name", "-iname", "-path", "-ipath", "-type", "-size", "-mtime", "-mmin", "-newer", "-perm", "-user", "-group", "-maxdepth", "-mindepth":
	default:
		return nil, fmt.Errorf("unknown predicate '%s'; find --help lists what there is", name)
	}
	value, ok := f.next()
	if !ok {
		return nil, fmt.Errorf("%s needs an argument", name)
	}
	return f.comparison(name, value)
}

// comparison makes the test of a predicate that has a value.
func (f *finder) comparison(name, value string) (findTest, error) {
	invalid := fmt.Errorf("invalid argument '%s' to %s", value, name)
	switch name {
	case "-name", "-iname", "-path", "-ipath":
		match, err := globMatcher(value, strings.HasPrefix(name, "-i"))
		if err != nil {
			return nil, invalid
		}
		if strings.HasSuffix(name, "path") {
			return func(at *finding) bool { return match(at.path) }, nil
		}
		return func(at *finding) bool { return match(filepath.Base(at.path)) }, nil
	case "-type":
		if len(value) != 1 || !strings.Contains("fdlpscb", value) {
			return nil, invalid
		}
		return func(at *finding) bool {
			kind := modeString(at.info.Mode())[0]
			return kind == value[0] || kind == '-' && value == "f"
		}, nil
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return nil, invalid
		}
		if name == "-maxdepth" {
			f.maxDepth = n
		} else {
			f.minDepth = n
		}
		return func(*finding) bool { return true }, nil
	case "-newer":
		info, err := os.Stat(value)
		if err != nil {
			return nil, fmt.Errorf("'%s': %s", value, reason(err))
		}
		return func(at *finding) bool { return at.info.ModTime().After(info.ModTime()) }, nil
	case "-perm":
		bits, err := strconv.ParseUint(strings.TrimPrefix(value, "-"), 8, 12)
		if err != nil {
			return nil, invalid
		}
		if strings.HasPrefix(value, "-") {
			return func(at *finding) bool { return permBits(at.info.Mode())&uint32(bits) == uint32(bits) }, nil
		}
		return func(at *finding) bool { return permBits(at.info.Mode()) == uint32(bits) }, nil
	case "-user", "-group":
		id, err := strconv.Atoi(value)
		if u, ok := userByName(value); ok && name == "-user" {
			id, err = u.uid, nil
		} else if g, ok := groupByName(value); ok && name == "-group" {
			id, err = g, nil
		}
		if err != nil {
			return nil, invalid
		}
		return func(at *finding) bool {
			st, ok := at.info.Sys().(*unixStat)
			return ok && (name == "-user" && int(st.Uid) == id || name == "-group" && int(st.Gid) == id)
		}, nil
	}
	// What is left compares a number.
	number, unit := value, int64(512)
	if name == "-size" {
		if i := strings.IndexAny(value, "bckMG"); i >= 0 && i == len(value)-1 {
			unit = map[byte]int64{'b': 512, 'c': 1, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[value[i]]
			number = value[:i]
		}
	}
	n, err := strconv.ParseInt(strings.TrimLeft(number, "+-"), 10, 64)
	if err != nil {
		return nil, invalid
	}
	compare := func(v int64) bool {
		switch number[0] {
		case '+':
			return v > n
		case '-':
			return v < n
		}
		return v == n
	}
	return func(at *finding) bool {
		switch age := f.now.Sub(at.info.ModTime()); name {
		case "-mtime":
			return compare(int64(age / (24 * time.Hour)))
		case "-mmin":
			return compare(int64((age + time.Minute - 1) / time.Minute))
		default:
			return compare((at.info.Size() + unit - 1) / unit)
		}
	}, nil
}

// exec makes the -exec action out of the tokens up to its end.
func (f *finder) exec() (findTest, error) {
	f.acts = true
	var argv []string
	for {
		t, ok := f.next()
		if !ok {
			return nil, errors.New("-exec has no ';' or '{} +' at its end")
		}
		if t == ";" {
			break
		}
		if t == "+" && len(argv) > 1 && argv[len(argv)-1] == "{}" {
			var paths []string
			argv = argv[:len(argv)-1]
			flush := func() {
				if len(paths) > 0 && !f.runCommand(append(argv[:len(argv):len(argv)], paths...)) {
					f.failed = true
				}
				paths = nil
			}
			f.atEnd = append(f.atEnd, flush)
			return func(at *finding) bool {
				if paths = append(paths, at.path); len(paths) == 1000 {
					flush()
				}
				return true
			}, nil
		}
		argv = append(argv, t)
	}
	if len(argv) == 0 {
		return nil, errors.New("-exec needs a command")
	}
	return func(at *finding) bool {
		filled := make([]string, len(argv))
		for i, a := range argv {
			filled[i] = strings.ReplaceAll(a, "{}", at.path)
		}
		return f.runCommand(filled)
	}, nil
}

func (f *finder) runCommand(argv []string) bool {
	f.out.Flush()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		f.fail("'%s': %s", argv[0], startReason(err))
	}
	return err == nil
}
