//go:build linux

package guestcmd

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func terminalCommands() []Command {
	return []Command{
		{Name: "clear", Usage: "", Help: "Clears the screen.",
			run: func(c *call) int { c.printf("\x1b[H\x1b[2J\x1b[3J"); return 0 }},
		{Name: "stty", Usage: "[-a | size | SETTING...]", raw: true,
			Help: "Prints or changes the settings of the terminal on standard input.\n  size             rows and columns\n  rows N, cols N   change them\n  raw, -raw, cooked, sane, [-]echo, [-]icanon, [-]isig, [-]opost, [-]icrnl, [-]ixon",
			run:  runSTTY},
		{Name: "tty", Usage: "[-s]", spec: "s", Help: "Prints the name of the terminal on standard input.\n  -s  prints nothing: 0 if it is one, else 1",
			run: func(c *call) int {
				name, err := os.Readlink("/proc/self/fd/0")
				if err != nil || !isTerminal(os.Stdin) {
					name = "not a tty"
				}
				if !c.opts.has('s') {
					c.println(name)
				}
				if name == "not a tty" {
					return 1
				}
				return 0
			}},
	}
}

// sttyFlags are the settings that can be turned on and off.
var sttyFlags = map[string]struct {
	group byte // i, o or l
	bit   uint32
}{
	"echo": {'l', unix.ECHO}, "icanon": {'l', unix.ICANON}, "isig": {'l', unix.ISIG}, "iexten": {'l', unix.IEXTEN},
	"opost": {'o', unix.OPOST}, "onlcr": {'o', unix.ONLCR}, "icrnl": {'i', unix.ICRNL}, "ixon": {'i', unix.IXON},
	"brkint": {'i', unix.BRKINT}, "inlcr": {'i', unix.INLCR}, "igncr": {'i', unix.IGNCR},
}

func runSTTY(c *call) int {
	fd := int(os.Stdin.Fd())
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return c.die("'standard input': %s", reason(err))
	}
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return c.die("'standard input': %s", reason(err))
	}
	field := func(group byte) *uint32 {
		switch group {
		case 'i':
			return &t.Iflag
		case 'o':
			return &t.Oflag
		}
		return &t.Lflag
	}
	if len(c.args) == 0 || c.args[0] == "-a" || c.args[0] == "--all" {
		c.printf("rows %d; columns %d;\n", size.Row, size.Col)
		for _, name := range []string{"echo", "icanon", "isig", "iexten", "opost", "onlcr", "icrnl", "ixon", "brkint", "inlcr", "igncr"} {
			f := sttyFlags[name]
			if *field(f.group)&f.bit == 0 {
				name = "-" + name
			}
			c.printf("%s ", name)
		}
		c.println()
		return 0
	}
	for i := 0; i < len(c.args); i++ {
		switch a := c.args[i]; a {
		case "size":
			c.printf("%d %d\n", size.Row, size.Col)
		case "rows", "cols", "columns":
			if i++; i == len(c.args) {
				return c.die("missing argument to '%s'", a)
			}
			n, err := strconv.ParseUint(c.args[i], 10, 16)
			if err != nil {
				return c.die("invalid integer argument: '%s'", c.args[i])
			}
			if a == "rows" {
				size.Row = uint16(n)
			} else {
				size.Col = uint16(n)
			}
			if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size); err != nil {
				return c.die("%s", reason(err))
			}
		case "raw", "-cooked":
			t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
			t.Oflag &^= unix.OPOST
			t.Lflag &^= unix.ICANON | unix.ISIG
			t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		case "-raw", "cooked":
			t.Iflag |= unix.BRKINT | unix.ICRNL | unix.IXON
			t.Oflag |= unix.OPOST
			t.Lflag |= unix.ICANON | unix.ISIG
		case "sane":
			t.Iflag = unix.BRKINT | unix.ICRNL | unix.IXON
			t.Oflag = unix.OPOST | unix.ONLCR
			t.Lflag = unix.ISIG | unix.ICANON | unix.IEXTEN | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE
		default:
			f, ok := sttyFlags[strings.TrimPrefix(a, "-")]
			if !ok {
				return c.die("invalid argument '%s'", a)
			}
			if a[0] == '-' {
				*field(f.group) &^= f.bit
			} else {
				*field(f.group) |= f.bit
			}
		}
	}
	if err := unix.IoctlSetTermios(fd, unix.TCSETSW, t); err != nil {
		return c.die("'standard input': %s", reason(err))
	}
	return 0
}
