//go:build linux

package guestcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
)

// basicCommands are those that the shell has built in, too: xargs, find and
// env need them as programs.
func basicCommands() []Command {
	return []Command{
		{Name: "true", Usage: "", Help: "Ends with 0.", raw: true, run: func(*call) int { return 0 }},
		{Name: "false", Usage: "", Help: "Ends with 1.", raw: true, run: func(*call) int { return 1 }},
		{Name: "echo", Usage: "[-neE] [STRING]...", raw: true,
			Help: "Prints its arguments.\n  -n  without a new line   -e  with escapes such as \\t   -E  without them",
			run:  runEcho},
		{Name: "printf", Usage: "FORMAT [ARG]...", raw: true,
			Help: "Prints ARGs as FORMAT says, which is used again while there are more.",
			run:  runPrintf},
		{Name: "pwd", Usage: "[-LP]", spec: "LP", Help: "Prints the current directory.\n  -L  as the shell has reached it   -P  without symbolic links",
			run: runPwd},
		{Name: "test", Usage: "EXPRESSION", raw: true, Help: testHelp, run: runTest},
		{Name: "[", Usage: "EXPRESSION ]", raw: true, Help: testHelp, run: runTest},
	}
}

func runEcho(c *call) int {
	newline, escapes := true, false
	args := c.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		for _, l := range args[0][1:] {
			switch l {
			case 'n':
				newline = false
			default:
				escapes = l == 'e'
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		if s, _, err := expand.Format(nil, strings.ReplaceAll(text, "%", "%%"), nil); err == nil {
			text = s
		}
	}
	c.printf("%s", text)
	if newline {
		c.println()
	}
	return 0
}

func runPrintf(c *call) int {
	if len(c.args) == 0 {
		return c.die("missing operand")
	}
	format, args := c.args[0], c.args[1:]
	if format == "--" && len(args) > 0 {
		format, args = args[0], args[1:]
	}
	for {
		s, used, err := expand.Format(nil, format, args)
		if err != nil {
			return c.die("%v", err)
		}
		c.printf("%s", s)
		if args = args[used:]; used == 0 || len(args) == 0 {
			return 0
		}
	}
}

func runPwd(c *call) int {
	if pwd := os.Getenv("PWD"); c.opts.last("LP") == 'L' && strings.HasPrefix(pwd, "/") {
		a, errA := os.Stat(pwd)
		b, errB := os.Stat(".")
		if errA == nil && errB == nil && os.SameFile(a, b) {
			c.println(pwd)
			return 0
		}
	}
	dir, err := unixGetwd()
	if err != nil {
		return c.die("%s", reason(err))
	}
	c.println(dir)
	return 0
}

// unixGetwd asks the system: os.Getwd would believe $PWD.
func unixGetwd() (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n-1]), nil
}

const testHelp = `Ends with 0 if the expression holds, with 1 if not, with 2 if it is wrong.
  -n S, S       not empty         -z S       empty
  A = B         equal strings     A != B     different ones
  N -eq M       numbers: -eq -ne -lt -le -gt -ge
  -e -f -d -L -p -S -b -c FILE    exists; is a file, directory, link, pipe, ...
  -r -w -x -s FILE                may be read, written, executed; isn't empty
  -t N          is a terminal     F -nt G, F -ot G, F -ef G  newer, older, same
  ! E, E -a E, E -o E, ( E )      not, and, or, grouping`

var errExpression = errors.New("the expression is incomplete")

type tester struct{ args []string }

func runTest(c *call) int {
	args := c.args
	if c.name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			c.fail("missing ']'")
			return 2
		}
		args = args[:len(args)-1]
	}
	t := &tester{args}
	holds := false
	var err error
	switch {
	case len(args) == 0:
	case len(args) == 1: // POSIX: whatever it is, it's a string
		holds = args[0] != ""
	default:
		if holds, err = t.or(); err == nil && len(t.args) > 0 {
			err = fmt.Errorf("unexpected '%s'", t.args[0])
		}
	}
	if err != nil {
		c.fail("%v", err)
		return 2
	}
	if holds {
		return 0
	}
	return 1
}

func (t *tester) or() (bool, error) {
	left, err := t.and()
	for err == nil && len(t.args) > 0 && t.args[0] == "-o" {
		t.args = t.args[1:]
		var right bool
		right, err = t.and()
		left = left || right
	}
	return left, err
}

func (t *tester) and() (bool, error) {
	left, err := t.not()
	for err == nil && len(t.args) > 0 && t.args[0] == "-a" {
		t.args = t.args[1:]
		var right bool
		right, err = t.not()
		left = left && right
	}
	return left, err
}

func (t *tester) not() (bool, error) {
	if len(t.args) > 1 && t.args[0] == "!" {
		t.args = t.args[1:]
		holds, err := t.not()
		return !holds, err
	}
	return t.primary()
}

func (t *tester) primary() (bool, error) {
	if len(t.args) == 0 {
		return false, errExpression
	}
	if len(t.args) >= 3 {
		if holds, known, err := testBinary(t.args[0], t.args[1], t.args[2]); known {
			t.args = t.args[3:]
			return holds, err
		}
	}
	if t.args[0] == "(" {
		t.args = t.args[1:]
		holds, err := t.or()
		if err == nil && (len(t.args) == 0 || t.args[0] != ")") {
			err = errors.New("missing ')'")
		} else if err == nil {
			t.args = t.args[1:]
		}
		return holds, err
	}
	if len(t.args) >= 2 && len(t.args[0]) == 2 && t.args[0][0] == '-' {
		if holds, known := testUnary(t.args[0][1], t.args[1]); known {
			t.args = t.args[2:]
			return holds, nil
		}
	}
	word := t.args[0]
	t.args = t.args[1:]
	return word != "", nil
}

func testUnary(op byte, s string) (holds, known bool) {
	access := func(mode uint32) bool { return unix.Access(s, mode) == nil }
	info, err := os.Stat(s)
	kind := func(mode fs.FileMode) bool { return err == nil && info.Mode()&fs.ModeType == mode }
	switch op {
	case 'n':
		return s != "", true
	case 'z':
		return s == "", true
	case 'e':
		return err == nil, true
	case 'f':
		return kind(0), true
	case 'd':
		return kind(fs.ModeDir), true
	case 'p':
		return kind(fs.ModeNamedPipe), true
	case 'S':
		return kind(fs.ModeSocket), true
	case 'b':
		return kind(fs.ModeDevice), true
	case 'c':
		return kind(fs.ModeDevice | fs.ModeCharDevice), true
	case 'L', 'h':
		link, err := os.Lstat(s)
		return err == nil && link.Mode()&fs.ModeSymlink != 0, true
	case 's':
		return err == nil && info.Size() > 0, true
	case 'r':
		return access(unix.R_OK), true
	case 'w':
		return access(unix.W_OK), true
	case 'x':
		return access(unix.X_OK), true
	case 't':
		n, err := strconv.Atoi(s)
		if err == nil {
			_, err = unix.IoctlGetTermios(n, unix.TCGETS)
		}
		return err == nil, true
	}
	return false, false
}

func testBinary(a, op, b string) (holds, known bool, err error) {
	switch op {
	case "=", "==":
		return a == b, true, nil
	case "!=":
		return a != b, true, nil
	case "-nt", "-ot", "-ef":
		x, errX := os.Stat(a)
		y, errY := os.Stat(b)
		switch {
		case op == "-ef":
			return errX == nil && errY == nil && os.SameFile(x, y), true, nil
		case op == "-ot":
			x, y, errX, errY = y, x, errY, errX
		}
		return errX == nil && (errY != nil || x.ModTime().After(y.ModTime())), true, nil
	case "-eq", "-ne", "-lt", "-le", "-gt", "-ge":
		x, errX := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
		y, errY := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
		if errX != nil {
			return false, true, fmt.Errorf("'%s' is not a number", a)
		}
		if errY != nil {
			return false, true, fmt.Errorf("'%s' is not a number", b)
		}
		return map[string]bool{"-eq": x == y, "-ne": x != y, "-lt": x < y, "-le": x <= y, "-gt": x > y, "-ge": x >= y}[op], true, nil
	}
	return false, false, nil
}
