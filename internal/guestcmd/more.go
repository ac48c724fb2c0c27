//go:build linux

package guestcmd

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/term"
)

// runMore shows files a screen at a time; the keys come from the terminal, the
// text may come through a pipe.
func runMore(c *call) int {
	show := func(text []byte) bool { _, err := c.out.Write(text); return err == nil }
	if isTerminal(os.Stdout) {
		if keys, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
			defer keys.Close()
			p := &pager{c: c, keys: keys}
			show = p.show
		}
	}
	stopped := false
	c.eachInput(func(_ string, r *os.File) error {
		if stopped {
			return nil
		}
		return eachLine(r, '\n', func(line []byte) bool {
			stopped = !show(line)
			return !stopped
		})
	})
	return c.code()
}

// pager counts the lines of a screen.
type pager struct {
	c    *call
	keys *os.File
	left int
	// begun is set after the first screen, which needs no key.
	begun bool
}

func (p *pager) show(line []byte) bool {
	width, height, err := term.GetSize(int(p.keys.Fd()))
	if err != nil || width <= 0 || height <= 1 {
		width, height = 80, 24
	}
	if p.left <= 0 {
		p.left = height - 1
		if p.begun && !p.ask() {
			return false
		}
		p.begun = true
	}
	_, _ = p.c.out.Write(line)
	p.left -= 1 + len(bytes.TrimRight(line, "\n"))/width
	return true
}

// ask waits for a key, and says whether to go on.
func (p *pager) ask() bool {
	_, _ = io.WriteString(p.c.out, "--More--")
	_ = p.c.out.Flush()
	old, err := term.MakeRaw(int(p.keys.Fd()))
	if err != nil {
		return true
	}
	defer func() { _ = term.Restore(int(p.keys.Fd()), old) }()
	defer func() { _, _ = io.WriteString(p.keys, "\r\x1b[K") }()
	var key [1]byte
	for {
		if _, err := p.keys.Read(key[:]); err != nil {
			return false
		}
		switch key[0] {
		case 'q', 'Q', 3, 4:
			return false
		case '\r', '\n':
			p.left = 1
			return true
		case ' ':
			return true
		}
	}
}
