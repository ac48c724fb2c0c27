//go:build linux

package guestcmd

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixStat is what os.FileInfo.Sys gives.
type unixStat = syscall.Stat_t

// modeChange is a mode as chmod takes it, in POSIX's words.
type modeChange []modeClause

type modeClause struct {
	who  uint32 // the bits that the clause may touch
	op   byte   // + - =
	bits uint32
	// copyFrom is u, g or o to copy that class's bits, as in g=u; zero if not.
	copyFrom byte
	// execDirs is X: execute for directories and for what somebody may execute.
	execDirs bool
	// octal sets all bits at once.
	octal bool
}

// parseMode parses an octal or a symbolic mode.
func parseMode(s string) (modeChange, error) {
	invalid := fmt.Errorf("invalid mode: '%s'", s)
	if n, err := strconv.ParseUint(s, 8, 32); err == nil {
		if n > 0o7777 {
			return nil, invalid
		}
		return modeChange{{op: '=', bits: uint32(n), octal: true}}, nil
	}
	umask := uint32(unix.Umask(0))
	unix.Umask(int(umask))
	var change modeChange
	for _, clause := range strings.Split(s, ",") {
		i := 0
		for i < len(clause) && strings.IndexByte("ugoa", clause[i]) >= 0 {
			i++
		}
		who := clause[:i]
		mask := uint32(0)
		for _, w := range who {
			switch w {
			case 'u':
				mask |= 0o4700
			case 'g':
				mask |= 0o2070
			case 'o':
				mask |= 0o1007
			case 'a':
				mask |= 0o7777
			}
		}
		if who == "" { // all, but what the umask hides
			mask = 0o7777 &^ umask
		}
		if i == len(clause) {
			return nil, invalid
		}
		for i < len(clause) {
			c := modeClause{who: mask, op: clause[i]}
			if strings.IndexByte("+-=", c.op) < 0 {
				return nil, invalid
			}
			for i++; i < len(clause) && strings.IndexByte("+-=", clause[i]) < 0; i++ {
				switch clause[i] {
				case 'r':
					c.bits |= 0o444
				case 'w':
					c.bits |= 0o222
				case 'x':
					c.bits |= 0o111
				case 'X':
					c.execDirs = true
				case 's':
					c.bits |= 0o6000
				case 't':
					c.bits |= 0o1000
				case 'u', 'g', 'o':
					c.copyFrom = clause[i]
				default:
					return nil, invalid
				}
			}
			change = append(change, c)
		}
	}
	return change, nil
}

// apply gives the mode that a file of mode m gets.
func (ch modeChange) apply(m fs.FileMode) fs.FileMode {
	old := permBits(m)
	for _, c := range ch {
		if c.octal {
			keep := uint32(0)
			if m.IsDir() { // as GNU: an octal mode leaves these to directories
				keep = old & 0o6000
			}
			old = c.bits | keep
			continue
		}
		bits := c.bits
		switch c.copyFrom {
		case 'u':
			bits |= (old >> 6 & 7) * 0o111
		case 'g':
			bits |= (old >> 3 & 7) * 0o111
		case 'o':
			bits |= (old & 7) * 0o111
		}
		if c.execDirs && (m.IsDir() || old&0o111 != 0) {
			bits |= 0o111
		}
		bits &= c.who
		switch c.op {
		case '+':
			old |= bits
		case '-':
			old &^= bits
		case '=':
			clear := c.who & 0o777
			if !m.IsDir() {
				clear = c.who
			}
			old = old&^clear | bits
		}
	}
	mode := m&fs.ModeType | fs.FileMode(old&0o777)
	if old&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if old&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if old&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// permBits are the twelve bits that chmod knows.
func permBits(m fs.FileMode) uint32 {
	b := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		b |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		b |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		b |= 0o1000
	}
	return b
}

// modeString is a mode as ls -l shows it.
func modeString(m fs.FileMode) string {
	kind := byte('-')
	switch {
	case m.IsDir():
		kind = 'd'
	case m&fs.ModeSymlink != 0:
		kind = 'l'
	case m&fs.ModeNamedPipe != 0:
		kind = 'p'
	case m&fs.ModeSocket != 0:
		kind = 's'
	case m&fs.ModeCharDevice != 0:
		kind = 'c'
	case m&fs.ModeDevice != 0:
		kind = 'b'
	}
	b := []byte("rwxrwxrwx")
	perm := m.Perm()
	for i := range b {
		if perm&(1<<(8-i)) == 0 {
			b[i] = '-'
		}
	}
	special := func(bit fs.FileMode, at int, with, without byte) {
		if m&bit == 0 {
			return
		}
		if b[at] == 'x' {
			b[at] = with
		} else {
			b[at] = without
		}
	}
	special(fs.ModeSetuid, 2, 's', 'S')
	special(fs.ModeSetgid, 5, 's', 'S')
	special(fs.ModeSticky, 8, 't', 'T')
	return string(kind) + string(b)
}
