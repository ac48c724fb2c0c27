//go:build linux

package guestcmd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func terminalCommands() []Command {
	return []Command{
		{Name: "tty", Usage: "[-s]", spec: "s", Help: "Prints the name of the terminal on standard input; ends with 1 if there is none.\n  -s  prints nothing", run: runTTY},
		{Name: "clear", Usage: "", spec: "", Help: "Clears the screen.", run: func(c *call) int {
			c.printf("\x1b[H\x1b[2J\x1b[3J")
			return 0
		}},
		{Name: "reset", Usage: "", spec: "", Help: "Sets the terminal back to a sane state.", run: func(c *call) int {
			c.printf("\x1bc")
			t, err := unix.IoctlGetTermios(0, unix.TCGETS)
			if err != nil {
				return c.die("standard input: %s", reason(err))
			}
			sane(t)
			if err := unix.IoctlSetTermios(0, unix.TCSETSW, t); err != nil {
				return c.die("standard input: %s", reason(err))
			}
			return 0
		}},
		{Name: "stty", Usage: "[-a | -g | size | SETTING...]", raw: true,
			Help: "Shows or changes the settings of the terminal on standard input.\n  size      prints rows and columns\n  -a        prints all settings\n  -g        prints them so that stty can read them back\n  raw, sane, cooked, [-]NAME, rows N, cols N, KEY CHARACTER (as in intr ^C)",
			run:  runStty},
	}
}

func runTTY(c *call) int {
	if !isTerminal(os.Stdin) {
		if !c.opts.has('s') {
			c.println("not a tty")
		}
		return 1
	}
	name, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return c.die("%s", reason(err))
	}
	if !c.opts.has('s') {
		c.println(name)
	}
	return 0
}

// A setting is a bit of one of termios' four words.
type setting struct {
	name string
	word byte // i, o, c or l
	bit  uint32
	sane bool
}

var settings = []setting{
	{"parenb", 'c', unix.PARENB, false}, {"cread", 'c', unix.CREAD, true}, {"clocal", 'c', unix.CLOCAL, false}, {"hupcl", 'c', unix.HUPCL, false}, {"cstopb", 'c', unix.CSTOPB, false},
	{"ignbrk", 'i', unix.IGNBRK, false}, {"brkint", 'i', unix.BRKINT, true}, {"ignpar", 'i', unix.IGNPAR, false}, {"parmrk", 'i', unix.PARMRK, false},
	{"inpck", 'i', unix.INPCK, false}, {"istrip", 'i', unix.ISTRIP, false}, {"inlcr", 'i', unix.INLCR, false}, {"igncr", 'i', unix.IGNCR, false},
	{"icrnl", 'i', unix.ICRNL, true}, {"ixon", 'i', unix.IXON, true}, {"ixoff", 'i', unix.IXOFF, false}, {"iuclc", 'i', unix.IUCLC, false},
	{"ixany", 'i', unix.IXANY, false}, {"imaxbel", 'i', unix.IMAXBEL, true}, {"iutf8", 'i', unix.IUTF8, false},
	{"opost", 'o', unix.OPOST, true}, {"onlcr", 'o', unix.ONLCR, true}, {"ocrnl", 'o', unix.OCRNL, false}, {"onocr", 'o', unix.ONOCR, false}, {"onlret", 'o', unix.ONLRET, false},
	{"isig", 'l', unix.ISIG, true}, {"icanon", 'l', unix.ICANON, true}, {"iexten", 'l', unix.IEXTEN, true}, {"echo", 'l', unix.ECHO, true},
	{"echoe", 'l', unix.ECHOE, true}, {"echok", 'l', unix.ECHOK, true}, {"echonl", 'l', unix.ECHONL, false}, {"noflsh", 'l', unix.NOFLSH, false},
	{"tostop", 'l', unix.TOSTOP, false}, {"echoctl", 'l', unix.ECHOCTL, true}, {"echoke", 'l', unix.ECHOKE, true},
}

// keys are the special characters and what sane sets them to; 0 is undefined.
var keys = []struct {
	name  string
	index int
	sane  byte
}{
	{"intr", unix.VINTR, 3}, {"quit", unix.VQUIT, 28}, {"erase", unix.VERASE, 127}, {"kill", unix.VKILL, 21}, {"eof", unix.VEOF, 4},
	{"eol", unix.VEOL, 0}, {"eol2", unix.VEOL2, 0}, {"swtch", unix.VSWTC, 0}, {"start", unix.VSTART, 17}, {"stop", unix.VSTOP, 19}, {"susp", unix.VSUSP, 26},
	{"rprnt", unix.VREPRINT, 18}, {"werase", unix.VWERASE, 23}, {"lnext", unix.VLNEXT, 22}, {"discard", unix.VDISCARD, 15},
}

func (s setting) in(t *unix.Termios) *uint32 {
	switch s.word {
	case 'i':
		return &t.Iflag
	case 'o':
		return &t.Oflag
	case 'c':
		return &t.Cflag
	}
	return &t.Lflag
}

func (s setting) set(t *unix.Termios, on bool) {
	if on {
		*s.in(t) |= s.bit
	} else {
		*s.in(t) &^= s.bit
	}
}

func sane(t *unix.Termios) {
	for _, s := range settings {
		if s.word == 'c' && !s.sane || s.name == "iutf8" {
			continue // sane leaves the line's own parameters alone
		}
		s.set(t, s.sane)
	}
	for _, k := range keys {
		t.Cc[k.index] = k.sane
	}
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}

func raw(t *unix.Termios, on bool) {
	for _, s := range settings {
		switch s.name {
		case "ignbrk", "brkint", "ignpar", "parmrk", "inpck", "istrip", "inlcr", "igncr", "icrnl", "ixon", "ixoff", "iuclc", "ixany", "imaxbel", "opost", "isig", "icanon":
			if on {
				s.set(t, false)
			}
		}
		switch s.name {
		case "brkint", "ignpar", "icrnl", "ixon", "opost", "isig", "icanon":
			if !on {
				s.set(t, true)
			}
		}
	}
	if on {
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	} else {
		t.Cc[unix.VEOF], t.Cc[unix.VEOL] = 4, 0
	}
}

func runStty(c *call) int {
	args := c.args
	fd := 0
	if len(args) > 1 && args[0] == "-F" {
		f, err := os.OpenFile(args[1], os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return c.die("%s: %s", args[1], reason(err))
		}
		defer f.Close()
		fd, args = int(f.Fd()), args[2:]
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return c.die("standard input: %s", reason(err))
	}
	if len(args) == 0 || len(args) == 1 && (args[0] == "-a" || args[0] == "--all") {
		c.showSettings(fd, t, len(args) == 1)
		return 0
	}
	changed := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, on := arg, true
		if n, ok := strings.CutPrefix(arg, "-"); ok {
			name, on = n, false
		}
		switch {
		case arg == "size":
			ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
			if err != nil {
				return c.die("standard input: %s", reason(err))
			}
			c.printf("%d %d\n", ws.Row, ws.Col)
			continue
		case arg == "speed":
			c.println("38400")
			continue
		case arg == "-g" || arg == "--save":
			c.printf("%x:%x:%x:%x", t.Iflag, t.Oflag, t.Cflag, t.Lflag)
			for _, b := range t.Cc {
				c.printf(":%x", b)
			}
			c.println()
			continue
		case arg == "rows" || arg == "cols" || arg == "columns":
			if i++; i == len(args) {
				return c.die("missing argument to '%s'", arg)
			}
			n, err := strconv.ParseUint(args[i], 10, 16)
			if err != nil {
				return c.die("invalid number '%s'", args[i])
			}
			ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
			if err == nil {
				if arg == "rows" {
					ws.Row = uint16(n)
				} else {
					ws.Col = uint16(n)
				}
				err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws)
			}
			if err != nil {
				return c.die("standard input: %s", reason(err))
			}
			continue
		}
		changed = true
		switch {
		case name == "raw":
			raw(t, on)
		case name == "cooked":
			raw(t, !on)
		case arg == "sane":
			sane(t)
		case name == "cbreak":
			setting{word: 'l', bit: unix.ICANON}.set(t, !on)
		case name == "nl":
			setting{word: 'i', bit: unix.ICRNL}.set(t, !on)
			setting{word: 'o', bit: unix.ONLCR}.set(t, !on)
		case strings.Count(arg, ":") > 10:
			if !restore(t, arg) {
				return c.die("invalid argument '%s'", arg)
			}
		case arg == "min" || arg == "time":
			if i++; i == len(args) {
				return c.die("missing argument to '%s'", arg)
			}
			n, err := strconv.ParseUint(args[i], 10, 8)
			if err != nil {
				return c.die("invalid number '%s'", args[i])
			}
			t.Cc[map[string]int{"min": unix.VMIN, "time": unix.VTIME}[arg]] = byte(n)
		default:
			known := false
			for _, s := range settings {
				if s.name == name {
					s.set(t, on)
					known = true
				}
			}
			for _, k := range keys {
				if k.name == arg {
					if i++; i == len(args) {
						return c.die("missing argument to '%s'", arg)
					}
					key, ok := parseKey(args[i])
					if !ok {
						return c.die("invalid character '%s'", args[i])
					}
					t.Cc[k.index] = key
					known = true
				}
			}
			if !known {
				return c.die("invalid argument '%s'", arg)
			}
		}
	}
	if changed {
		if err := unix.IoctlSetTermios(fd, unix.TCSETSW, t); err != nil {
			return c.die("standard input: %s", reason(err))
		}
	}
	return 0
}

// restore reads back what stty -g has printed.
func restore(t *unix.Termios, saved string) bool {
	parts := strings.Split(saved, ":")
	if len(parts) != 4+len(t.Cc) {
		return false
	}
	var n []uint32
	for _, p := range parts {
		v, err := strconv.ParseUint(p, 16, 32)
		if err != nil {
			return false
		}
		n = append(n, uint32(v))
	}
	t.Iflag, t.Oflag, t.Cflag, t.Lflag = n[0], n[1], n[2], n[3]
	for i := range t.Cc {
		t.Cc[i] = byte(n[4+i])
	}
	return true
}

func parseKey(s string) (byte, bool) {
	switch {
	case s == "undef" || s == "^-":
		return 0, true
	case s == "^?":
		return 127, true
	case len(s) == 2 && s[0] == '^':
		return s[1] & 0x1f, true
	case len(s) == 1:
		return s[0], true
	}
	n, err := strconv.ParseUint(s, 0, 8)
	return byte(n), err == nil
}

func (c *call) showSettings(fd int, t *unix.Termios, all bool) {
	c.printf("speed 38400 baud;")
	if all {
		if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			c.printf(" rows %d; columns %d;", ws.Row, ws.Col)
		}
	}
	c.printf(" line = %d;\n", t.Line)
	printed := 0
	for _, k := range keys {
		if !all && t.Cc[k.index] == k.sane {
			continue
		}
		shown := "<undef>"
		if b := t.Cc[k.index]; b != 0 {
			shown = visible(b)
		}
		c.printf("%s = %s; ", k.name, shown)
		if printed++; printed%7 == 0 {
			c.println()
		}
	}
	if all {
		c.printf("min = %d; time = %d;", t.Cc[unix.VMIN], t.Cc[unix.VTIME])
		printed++
	}
	if printed > 0 {
		c.println()
	}
	for _, word := range "cilo" {
		if word == 'l' {
			continue
		}
		var shown []string
		for _, s := range settings {
			if s.word != byte(word) && !(word == 'o' && s.word == 'l') {
				continue
			}
			on := *s.in(t)&s.bit != 0
			if !all && on == s.sane {
				continue
			}
			if on {
				shown = append(shown, s.name)
			} else {
				shown = append(shown, "-"+s.name)
			}
		}
		if len(shown) > 0 {
			c.println(strings.Join(shown, " "))
		}
	}
}

func runMore(c *call) int {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil || !isTerminal(os.Stdout) {
		c.eachInput(func(_ string, r *os.File) error {
			_, err := io.Copy(os.Stdout, r)
			return err
		})
		return c.code()
	}
	defer tty.Close()
	fd := int(tty.Fd())
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return c.die("/dev/tty: %s", reason(err))
	}
	height := func() int {
		if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil && ws.Row > 2 {
			return int(ws.Row) - 1
		}
		return 23
	}
	ask := func() byte {
		quiet := *saved
		quiet.Lflag &^= unix.ECHO | unix.ICANON
		unix.IoctlSetTermios(fd, unix.TCSETSW, &quiet)
		defer unix.IoctlSetTermios(fd, unix.TCSETSW, saved)
		fmt.Fprint(tty, "\x1b[7m--More--\x1b[0m")
		defer fmt.Fprint(tty, "\r\x1b[K")
		var b [1]byte
		if n, err := tty.Read(b[:]); n == 0 || err != nil {
			return 'q'
		}
		return b[0]
	}
	left := height()
	quit := false
	if len(c.args) == 0 && isTerminal(os.Stdin) {
		return c.die("give a file")
	}
	c.eachInput(func(_ string, r *os.File) error {
		b := bufio.NewReader(r)
		for !quit {
			line, err := b.ReadString('\n')
			if line != "" {
				if left == 0 {
					c.out.Flush()
					switch ask() {
					case 'q', 'Q':
						quit = true
						return nil
					case '\n', '\r', 'j':
						left = 1
					default:
						left = height()
					}
				}
				c.printf("%s", line)
				left--
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return c.code()
}
