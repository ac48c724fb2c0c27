//go:build linux

package guest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// applyModes sets the terminal modes that a client has encoded (RFC 4254
// section 8). What is unknown or malformed ends the list, as the RFC has it for
// opcodes 160 to 255.
func applyModes(t *unix.Termios, modes string) {
	for len(modes) >= 5 {
		op := modes[0]
		if op == 0 || op >= 160 {
			return
		}
		value := binary.BigEndian.Uint32([]byte(modes[1:5]))
		modes = modes[5:]
		if i, ok := controlChars[op]; ok {
			t.Cc[i] = byte(value) // 255 is _POSIX_VDISABLE in the RFC
			if value == 255 {
				t.Cc[i] = 0
			}
			continue
		}
		set := func(flags *uint32, bit uint32) {
			if value != 0 {
				*flags |= bit
			} else {
				*flags &^= bit
			}
		}
		if bit, ok := inputFlags[op]; ok {
			set(&t.Iflag, bit)
		} else if bit, ok := localFlags[op]; ok {
			set(&t.Lflag, bit)
		} else if bit, ok := outputFlags[op]; ok {
			set(&t.Oflag, bit)
		} else if bit, ok := controlFlags[op]; ok && value != 0 {
			t.Cflag = t.Cflag&^unix.CSIZE | bit
		}
		// Speeds (128, 129) mean nothing to a pseudo-terminal.
	}
}

var (
	controlChars = map[byte]int{
		1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF, 6: unix.VEOL, 7: unix.VEOL2,
		8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP, 12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT,
		18: unix.VDISCARD,
	}
	inputFlags = map[byte]uint32{
		30: unix.IGNPAR, 31: unix.PARMRK, 32: unix.INPCK, 33: unix.ISTRIP, 34: unix.INLCR, 35: unix.IGNCR,
		36: unix.ICRNL, 37: unix.IUCLC, 38: unix.IXON, 39: unix.IXANY, 40: unix.IXOFF, 41: unix.IMAXBEL, 42: unix.IUTF8,
	}
	localFlags = map[byte]uint32{
		50: unix.ISIG, 51: unix.ICANON, 52: unix.XCASE, 53: unix.ECHO, 54: unix.ECHOE, 55: unix.ECHOK, 56: unix.ECHONL,
		57: unix.NOFLSH, 58: unix.TOSTOP, 59: unix.IEXTEN, 60: unix.ECHOCTL, 61: unix.ECHOKE, 62: unix.PENDIN,
	}
	outputFlags = map[byte]uint32{
		70: unix.OPOST, 71: unix.OLCUC, 72: unix.ONLCR, 73: unix.OCRNL, 74: unix.ONOCR, 75: unix.ONLRET,
	}
	controlFlags = map[byte]uint32{90: unix.CS7, 91: unix.CS8}
)
