//go:build linux

package guestcmd

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

func runTranslate(c *call) int {
	deletes, squeezes := c.opts.has('d'), c.opts.has('s')
	want := 2
	if deletes && !squeezes || squeezes && !deletes && len(c.args) == 1 {
		want = 1
	}
	if len(c.args) != want {
		return c.die("wrong number of sets; tr --help tells more")
	}
	set1, err := expandSet(c.args[0])
	if err != nil {
		return c.die("%v", err)
	}
	if c.opts.has('c') || c.opts.has('C') {
		var in [256]bool
		for _, b := range set1 {
			in[b] = true
		}
		set1 = nil
		for b := range 256 {
			if !in[b] {
				set1 = append(set1, byte(b))
			}
		}
	}
	var set2 []byte
	if len(c.args) == 2 {
		if set2, err = expandSet(c.args[1]); err != nil {
			return c.die("%v", err)
		}
		if len(set2) == 0 && !deletes {
			return c.die("SET2 is empty")
		}
	}
	var table [256]byte
	var drop, squeeze [256]bool
	for b := range table {
		table[b] = byte(b)
	}
	if deletes {
		for _, b := range set1 {
			drop[b] = true
		}
	} else if set2 != nil {
		for i, b := range set1 {
			table[b] = set2[min(i, len(set2)-1)]
		}
	}
	if squeezes {
		of := set2
		if of == nil {
			of = set1
		}
		for _, b := range of {
			squeeze[b] = true
		}
	}
	in := bufio.NewReaderSize(c.in, 64<<10)
	last := -1
	for {
		if in.Buffered() == 0 {
			c.out.Flush() // what comes in pieces goes on in pieces
		}
		b, err := in.ReadByte()
		if err == io.EOF {
			return c.code()
		}
		if err != nil {
			return c.die("%s", reason(err))
		}
		if drop[b] {
			continue
		}
		b = table[b]
		if squeeze[b] && last == int(b) {
			continue
		}
		last = int(b)
		c.out.WriteByte(b)
	}
}

var setClasses = map[string]func(byte) bool{
	"alpha":  func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' },
	"digit":  func(b byte) bool { return b >= '0' && b <= '9' },
	"alnum":  func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' },
	"upper":  func(b byte) bool { return b >= 'A' && b <= 'Z' },
	"lower":  func(b byte) bool { return b >= 'a' && b <= 'z' },
	"space":  func(b byte) bool { return b == ' ' || b >= 9 && b <= 13 },
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"punct":  func(b byte) bool { return b > ' ' && b < 0x7f && !isAlnum(b) },
	"print":  func(b byte) bool { return b >= ' ' && b < 0x7f },
	"graph":  func(b byte) bool { return b > ' ' && b < 0x7f },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"xdigit": func(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f' },
}

func isAlnum(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' }

// expandSet lists the bytes of a set of tr.
func expandSet(s string) ([]byte, error) {
	var set []byte
	one := func() byte { // the next byte, with escapes
		b := s[0]
		s = s[1:]
		if b != '\\' || s == "" {
			return b
		}
		b = s[0]
		s = s[1:]
		if i := strings.IndexByte("abfnrtv", b); i >= 0 {
			return "\a\b\f\n\r\t\v"[i]
		}
		if b >= '0' && b <= '7' {
			n := int(b - '0')
			for i := 0; i < 2 && s != "" && s[0] >= '0' && s[0] <= '7'; i++ {
				n, s = n*8+int(s[0]-'0'), s[1:]
			}
			return byte(n)
		}
		return b
	}
	for s != "" {
		if rest, ok := strings.CutPrefix(s, "[:"); ok {
			if name, after, ok := strings.Cut(rest, ":]"); ok {
				class, known := setClasses[name]
				if !known {
					return nil, fmt.Errorf("invalid character class '%s'", name)
				}
				for b := range 256 {
					if class(byte(b)) {
						set = append(set, byte(b))
					}
				}
				s = after
				continue
			}
		}
		b := one()
		if len(s) > 1 && s[0] == '-' {
			s = s[1:]
			end := one()
			if end < b {
				return nil, fmt.Errorf("the range '%c-%c' is in reverse order", b, end)
			}
			for n := int(b); n <= int(end); n++ {
				set = append(set, byte(n))
			}
			continue
		}
		set = append(set, b)
	}
	return set, nil
}
