//go:build linux

package guestcmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

func textCommands() []Command {
	return []Command{
		{Name: "cat", Usage: "[-nbsAETvu] [FILE]...", spec: "nbsAETvu",
			long: map[string]rune{"number": 'n', "show-all": 'A'},
			Help: "Prints files one after the other; standard input for - or none.\n  -n  numbers the lines         -b  those that aren't empty\n  -s  one of several empty lines\n  -E  ends lines with $         -T  shows tabs as ^I\n  -v  shows control characters  -A  as -vET",
			run:  runCat},
		{Name: "head", Usage: "[-n [-]N | -c [-]N] [-qv] [FILE]...", raw: true,
			Help: "Prints the first 10 lines of files.\n  -n N   N lines; with -N all but the last N\n  -c N   N bytes; with -N all but the last N\n  -q, -v never, always print file names",
			run:  runHead},
		{Name: "tail", Usage: "[-n [+]N | -c [+]N] [-fqv] [FILE]...", raw: true,
			Help: "Prints the last 10 lines of files.\n  -n N   N lines; with +N from line N on\n  -c N   N bytes; with +N from byte N on\n  -f     and what is added later, until interrupted\n  -q, -v never, always print file names",
			run:  runTail},
		{Name: "wc", Usage: "[-clmwL] [FILE]...", spec: "clmwL",
			long: map[string]rune{"bytes": 'c', "lines": 'l', "chars": 'm', "words": 'w', "max-line-length": 'L'},
			Help: "Counts lines, words and bytes.\n  -l  lines   -w  words   -c  bytes   -m  characters\n  -L  the length of the longest line",
			run:  runCount},
		{Name: "sort", Usage: "[-bfnrsuz] [-k FIELD[,FIELD]] [-t C] [-o FILE] [FILE]...", spec: "bfnrsuzk:t:o:",
			long: map[string]rune{"numeric-sort": 'n', "reverse": 'r', "unique": 'u', "key": 'k', "field-separator": 't', "output": 'o', "ignore-case": 'f', "stable": 's'},
			Help: "Sorts lines by their bytes.\n  -n  by number     -r  in reverse    -f  ignoring case\n  -u  equal lines once                -b  ignoring leading blanks\n  -s  keeps equal ones in order       -z  lines end in NUL\n  -k F[,G]  by the fields F to G, the first is 1; nrfb may follow\n  -t C      fields are separated by C\n  -o FILE   writes to FILE",
			run:  runSort},
		{Name: "uniq", Usage: "[-cdiu] [INPUT]", spec: "cdiu",
			long: map[string]rune{"count": 'c', "repeated": 'd', "unique": 'u', "ignore-case": 'i'},
			Help: "Prints equal lines that follow each other once.\n  -c  with their number   -d  only repeated ones\n  -u  only single ones    -i  ignoring case",
			run:  runUniq},
		{Name: "cut", Usage: "-b LIST | -c LIST | -f LIST [-d C] [-s] [FILE]...", spec: "b:c:f:d:s",
			long: map[string]rune{"fields": 'f', "delimiter": 'd', "characters": 'c', "bytes": 'b', "only-delimited": 's'},
			Help: "Prints parts of lines. LIST is as 1,3-5,7-.\n  -b, -c LIST  bytes, characters\n  -f LIST      fields, separated by a tab\n  -d C         or by C\n  -s           only lines that have C",
			run:  runCut},
		{Name: "tr", Usage: "[-cds] SET1 [SET2]", spec: "+cCds",
			long: map[string]rune{"complement": 'c', "delete": 'd', "squeeze-repeats": 's'},
			Help: "Translates characters of standard input. Sets know a-z, \\n, \\t, \\\\, \\OCTAL, [:class:].\n  -d  deletes those of SET1   -c  all but those of SET1\n  -s  one of several equal ones of the last set",
			run:  runTranslate},
		{Name: "tee", Usage: "[-ai] [FILE]...", spec: "ai", long: map[string]rune{"append": 'a', "ignore-interrupts": 'i'},
			Help: "Copies standard input to standard output and to files.\n  -a  appends   -i  ignores interrupts",
			run:  runTee},
		{Name: "more", Usage: "[FILE]...", spec: "",
			Help: "Shows text a screen at a time: space for the next screen, enter for the\nnext line, q to quit. Not on a terminal it just prints.",
			run:  runMore},
	}
}

func runCat(c *call) int {
	plain := true
	for _, l := range "nbsAETv" {
		plain = plain && !c.opts.has(l)
	}
	if plain {
		c.eachInput(func(_ string, r *os.File) error {
			_, err := io.Copy(os.Stdout, r)
			return err
		})
		return c.code()
	}
	ends, tabs, marks := c.opts.has('E') || c.opts.has('A'), c.opts.has('T') || c.opts.has('A'), c.opts.has('v') || c.opts.has('A')
	number, empty := 0, false
	c.eachInput(func(_ string, r *os.File) error {
		return eachLine(r, '\n', func(line []byte) bool {
			blank := len(line) == 1 && line[0] == '\n'
			if blank && empty && c.opts.has('s') {
				return true
			}
			empty = blank
			if c.opts.has('b') && !blank || c.opts.has('n') && !c.opts.has('b') {
				number++
				c.printf("%6d\t", number)
			}
			for _, b := range line {
				switch {
				case b == '\n':
					if ends {
						c.out.WriteByte('$')
					}
					c.out.WriteByte(b)
				case b == '\t' && tabs:
					c.out.WriteString("^I")
				case b == '\t' || !marks:
					c.out.WriteByte(b)
				default:
					c.out.WriteString(visible(b))
				}
			}
			return true
		})
	})
	return c.code()
}

// visible shows a byte in cat's ^ and M- notation.
func visible(b byte) string {
	prefix := ""
	if b >= 0x80 {
		prefix, b = "M-", b-0x80
	}
	switch {
	case b < 0x20:
		return prefix + "^" + string(rune(b+0x40))
	case b == 0x7f:
		return prefix + "^?"
	}
	return prefix + string(rune(b))
}

// cutCount is how head and tail are told how much.
type cutCount struct {
	n     int64
	bytes bool
	sign  byte // '+', '-' or zero
}

// parseCut parses the options of head and tail, with the old form -N.
func (c *call) parseCut() (cutCount, bool) {
	count := cutCount{n: 10}
	args := c.args
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "0123456789") == "" {
		args = slices.Concat([]string{"-n" + args[0][1:]}, args[1:])
	}
	opts, operands, err := parseOptions(args, "n:c:fFqv", map[string]rune{"lines": 'n', "bytes": 'c', "follow": 'f', "quiet": 'q', "verbose": 'v'})
	if err != nil {
		c.fail("%v; %s --help tells more", err, c.name)
		return count, false
	}
	if c.name == "head" && (opts.has('f') || opts.has('F')) {
		c.fail("unknown option -f; head --help tells more")
		return count, false
	}
	c.opts, c.args = opts, operands
	if l := opts.last("nc"); l != 0 {
		v := opts.value(l, "")
		count.bytes = l == 'c'
		if v != "" && (v[0] == '+' || v[0] == '-') {
			count.sign, v = v[0], v[1:]
		}
		n, err := parseSize(v)
		if err != nil || strings.HasPrefix(v, "-") {
			c.fail("invalid number: '%s'", opts.value(l, ""))
			return count, false
		}
		count.n = n
	}
	return count, true
}

// parseSize parses a number with an optional k, M or G.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			unit = 1 << 10
		case 'M':
			unit = 1 << 20
		case 'G':
			unit = 1 << 30
		}
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err
}

// eachTitled is eachInput with the ==> titles <== of head and tail.
func (c *call) eachTitled(do func(r *os.File) error) {
	titled := len(c.args) > 1 || c.opts.has('v')
	if c.opts.has('q') {
		titled = false
	}
	first := true
	c.eachInput(func(name string, r *os.File) error {
		if titled {
			if !first {
				c.println()
			}
			if name == "-" {
				name = "standard input"
			}
			c.printf("==> %s <==\n", name)
		}
		first = false
		return do(r)
	})
}

func runHead(c *call) int {
	count, ok := c.parseCut()
	if !ok {
		return 1
	}
	c.eachTitled(func(r *os.File) error {
		switch {
		case count.bytes && count.sign != '-':
			_, err := io.CopyN(c.out, r, count.n)
			if err == io.EOF {
				err = nil
			}
			return err
		case count.bytes:
			all, err := io.ReadAll(r)
			if n := int64(len(all)) - count.n; n > 0 {
				c.out.Write(all[:n])
			}
			return err
		case count.sign == '-':
			var held [][]byte
			return eachLine(r, '\n', func(line []byte) bool {
				if held = append(held, line); int64(len(held)) > count.n {
					c.out.Write(held[0])
					held = held[1:]
				}
				return true
			})
		case count.n == 0:
			return nil
		}
		n := int64(0)
		return eachLine(r, '\n', func(line []byte) bool {
			c.out.Write(line)
			n++
			return n < count.n
		})
	})
	return c.code()
}

func runTail(c *call) int {
	count, ok := c.parseCut()
	if !ok {
		return 1
	}
	follow := c.opts.has('f') || c.opts.has('F')
	c.eachTitled(func(r *os.File) error {
		if err := c.tail(r, count); err != nil {
			return err
		}
		if follow && (len(c.args) == 0 || r.Name() == c.args[len(c.args)-1]) {
			return c.follow(r)
		}
		return nil
	})
	return c.code()
}

func (c *call) tail(r *os.File, count cutCount) error {
	switch {
	case count.bytes && count.sign == '+':
		if _, err := io.CopyN(io.Discard, r, max(count.n-1, 0)); err != nil && err != io.EOF {
			return err
		}
		_, err := io.Copy(c.out, r)
		return err
	case count.bytes:
		// A window over what was read: twice its size at most.
		var window []byte
		buffer := make([]byte, 64<<10)
		for {
			n, err := r.Read(buffer)
			window = append(window, buffer[:n]...)
			if extra := int64(len(window)) - count.n; extra > max(count.n, 1<<20) {
				window = slices.Clone(window[extra:])
			}
			if err == io.EOF {
				c.out.Write(window[max(0, int64(len(window))-count.n):])
				return nil
			}
			if err != nil {
				return err
			}
		}
	case count.sign == '+':
		n := int64(0)
		return eachLine(r, '\n', func(line []byte) bool {
			if n++; n >= count.n {
				c.out.Write(line)
			}
			return true
		})
	}
	ring := make([][]byte, 0, 16)
	err := eachLine(r, '\n', func(line []byte) bool {
		ring = append(ring, line)
		if int64(len(ring)) > 2*count.n+1024 {
			ring = slices.Clone(ring[int64(len(ring))-count.n:])
		}
		return true
	})
	for _, line := range ring[max(0, int64(len(ring))-count.n):] {
		c.out.Write(line)
	}
	return err
}

// follow prints what is added to a file. A file that got shorter is read from
// its beginning.
func (c *call) follow(r *os.File) error {
	for {
		n, err := io.Copy(c.out, r)
		if err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if at, err := r.Seek(0, io.SeekCurrent); err == nil {
			if info, err := r.Stat(); err == nil && info.Size() < at {
				fmt.Fprintf(os.Stderr, "tail: %s: file truncated\n", r.Name())
				if _, err := r.Seek(0, io.SeekStart); err != nil {
					return err
				}
			}
		} else {
			return nil // a pipe: its end is the end
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func runCount(c *call) int {
	type counts struct{ lines, words, chars, bytes, longest int64 }
	var shown []rune
	for _, l := range "lwmcL" {
		if c.opts.has(l) {
			shown = append(shown, l)
		}
	}
	if len(shown) == 0 {
		shown = []rune("lwc")
	}
	type row struct {
		counts
		name string
	}
	var rows []row
	var total counts
	regular := true
	c.eachInput(func(name string, r *os.File) error {
		var n counts
		inWord := false
		column := int64(0)
		b := bufio.NewReaderSize(r, 64<<10)
		if info, err := r.Stat(); err != nil || !info.Mode().IsRegular() {
			regular = false
		}
		for {
			ch, size, err := b.ReadRune()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			n.bytes += int64(size)
			if ch != utf8.RuneError || size > 1 {
				n.chars++
			}
			switch ch {
			case '\n':
				n.lines++
				n.longest = max(n.longest, column)
				column = 0
			case '\t':
				column += 8 - column%8
			default:
				column++
			}
			if unicode.IsSpace(ch) {
				inWord = false
			} else if !inWord {
				inWord = true
				n.words++
			}
		}
		n.longest = max(n.longest, column)
		if len(c.args) == 0 {
			name = ""
		}
		rows = append(rows, row{n, name})
		total.lines += n.lines
		total.words += n.words
		total.chars += n.chars
		total.bytes += n.bytes
		total.longest = max(total.longest, n.longest)
		return nil
	})
	if len(c.args) > 1 {
		rows = append(rows, row{total, "total"})
	}
	width := 1
	if len(shown) > 1 || len(rows) > 1 {
		width = len(strconv.FormatInt(total.bytes, 10))
		if !regular {
			width = max(width, 7)
		}
	}
	for _, r := range rows {
		for i, l := range shown {
			v := map[rune]int64{'l': r.lines, 'w': r.words, 'm': r.chars, 'c': r.bytes, 'L': r.longest}[l]
			if i > 0 {
				c.printf(" ")
			}
			c.printf("%*d", width, v)
		}
		if r.name != "" {
			c.printf(" %s", r.name)
		}
		c.println()
	}
	return c.code()
}

func runUniq(c *call) int {
	var held []byte
	n := 0
	show := func() {
		if n == 0 || c.opts.has('d') && n == 1 || c.opts.has('u') && n > 1 {
			return
		}
		if c.opts.has('c') {
			c.printf("%7d ", n)
		}
		c.printf("%s\n", held)
	}
	if len(c.args) > 1 {
		return c.die("extra operand '%s'", c.args[1])
	}
	c.eachInput(func(_ string, r *os.File) error {
		return eachLine(r, '\n', func(line []byte) bool {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			same := bytes.Equal(line, held)
			if c.opts.has('i') {
				same = bytes.EqualFold(line, held)
			}
			if n > 0 && same {
				n++
				return true
			}
			show()
			held, n = line, 1
			return true
		})
	})
	show()
	return c.code()
}

func runCut(c *call) int {
	kind := c.opts.last("bcf")
	if kind == 0 {
		return c.die("give a list of bytes, characters or fields; cut --help tells more")
	}
	wanted, err := parseList(c.opts.value(kind, ""))
	if err != nil {
		return c.die("%v", err)
	}
	delimiter := c.opts.value('d', "\t")
	if utf8.RuneCountInString(delimiter) != 1 {
		return c.die("the delimiter must be a single character")
	}
	c.eachInput(func(_ string, r *os.File) error {
		return eachLine(r, '\n', func(line []byte) bool {
			text := strings.TrimSuffix(string(line), "\n")
			switch kind {
			case 'f':
				if !strings.Contains(text, delimiter) {
					if !c.opts.has('s') {
						c.println(text)
					}
					return true
				}
				var kept []string
				for i, field := range strings.Split(text, delimiter) {
					if wanted(i + 1) {
						kept = append(kept, field)
					}
				}
				c.println(strings.Join(kept, delimiter))
			default: // bytes; characters too, as GNU's cut has it
				var kept []byte
				for i := range len(text) {
					if wanted(i + 1) {
						kept = append(kept, text[i])
					}
				}
				c.printf("%s\n", kept)
			}
			return true
		})
	})
	return c.code()
}

// parseList parses a list such as 1,3-5,7- or -2.
func parseList(s string) (func(int) bool, error) {
	type span struct{ from, to int }
	var spans []span
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		sp := span{1, 1 << 30}
		var err error
		if from != "" {
			sp.from, err = strconv.Atoi(from)
		}
		if err == nil && to != "" {
			sp.to, err = strconv.Atoi(to)
		}
		if !isRange {
			sp.to = sp.from
		}
		if err != nil || part == "" || part == "-" || sp.from < 1 || sp.to < sp.from {
			return nil, fmt.Errorf("invalid list '%s'", s)
		}
		spans = append(spans, sp)
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(sp span) bool { return sp.from <= n && n <= sp.to })
	}, nil
}

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

func runTee(c *call) int {
	if c.opts.has('i') {
		signal.Ignore(syscall.SIGINT)
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if c.opts.has('a') {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	outs := []*os.File{os.Stdout}
	for _, name := range c.args {
		f, err := os.OpenFile(name, flag, 0o666)
		if err != nil {
			c.failFile(name, err)
			continue
		}
		defer f.Close()
		outs = append(outs, f)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.in.Read(buffer)
		kept := outs[:0]
		for _, f := range outs {
			if _, werr := f.Write(buffer[:n]); werr != nil {
				c.failFile(f.Name(), werr)
				continue
			}
			kept = append(kept, f)
		}
		outs = kept
		if err == io.EOF {
			return c.code()
		}
		if err != nil {
			return c.die("%s", reason(err))
		}
	}
}

// sortKey is one -k of sort.
type sortKey struct {
	from, fromChar, to, toChar    int // fields and characters from 1; 0 means none
	numeric, reverse, fold, blank bool
}

var keyPattern = regexp.MustCompile(`^(\d+)(?:\.(\d+))?([nrfb]*)(?:,(\d+)(?:\.(\d+))?([nrfb]*))?$`)

func runSort(c *call) int {
	global := sortKey{numeric: c.opts.has('n'), reverse: c.opts.has('r'), fold: c.opts.has('f'), blank: c.opts.has('b')}
	separator := c.opts.value('t', "")
	if separator == `\0` {
		separator = "\x00"
	}
	if len(separator) > 1 {
		return c.die("the separator must be a single character")
	}
	var keys []sortKey
	for _, k := range c.opts['k'] {
		m := keyPattern.FindStringSubmatch(k)
		if m == nil {
			return c.die("invalid key '%s'", k)
		}
		n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
		key := sortKey{from: n(1), fromChar: n(2), to: n(4), toChar: n(5)}
		flags := m[3] + m[6]
		if flags == "" {
			key.numeric, key.reverse, key.fold, key.blank = global.numeric, global.reverse, global.fold, global.blank
		}
		key.numeric = key.numeric || strings.Contains(flags, "n")
		key.reverse = key.reverse || strings.Contains(flags, "r")
		key.fold = key.fold || strings.Contains(flags, "f")
		key.blank = key.blank || strings.Contains(flags, "b")
		if key.from == 0 {
			return c.die("invalid key '%s': fields count from 1", k)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		keys = []sortKey{global}
	}
	delimiter := byte('\n')
	if c.opts.has('z') {
		delimiter = 0
	}
	var all []string
	c.eachInput(func(_ string, r *os.File) error {
		return eachLine(r, delimiter, func(line []byte) bool {
			all = append(all, string(bytes.TrimSuffix(line, []byte{delimiter})))
			return true
		})
	})
	if c.failed {
		return 2
	}
	compare := func(a, b string) int {
		for _, k := range keys {
			if d := k.compare(a, b, separator); d != 0 {
				return d
			}
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b string) int {
		d := compare(a, b)
		if d == 0 && !c.opts.has('s') && !c.opts.has('u') {
			if d = strings.Compare(a, b); c.opts.has('r') {
				d = -d
			}
		}
		return d
	})
	out := io.Writer(c.out)
	if c.opts.has('o') {
		f, err := os.Create(c.opts.value('o', ""))
		if err != nil {
			return c.die("%s: %s", c.opts.value('o', ""), reason(err))
		}
		defer f.Close()
		b := bufio.NewWriter(f)
		defer b.Flush()
		out = b
	}
	for i, line := range all {
		if c.opts.has('u') && i > 0 && compare(all[i-1], line) == 0 {
			continue
		}
		fmt.Fprintf(out, "%s%c", line, delimiter)
	}
	return c.code()
}

func (k sortKey) compare(a, b, separator string) int {
	x, y := k.extract(a, separator), k.extract(b, separator)
	d := 0
	switch {
	case k.numeric:
		m, n := leadingNumber(x), leadingNumber(y)
		switch {
		case m < n:
			d = -1
		case m > n:
			d = 1
		}
	case k.fold:
		d = strings.Compare(strings.ToUpper(x), strings.ToUpper(y))
	default:
		d = strings.Compare(x, y)
	}
	if k.reverse {
		return -d
	}
	return d
}

// extract is the part of a line that the key compares.
func (k sortKey) extract(line, separator string) string {
	if k.from == 0 {
		if k.blank {
			return strings.TrimLeft(line, " \t")
		}
		return line
	}
	// Where each field begins and ends; without a separator a field begins
	// with the blanks before it.
	var begin, end []int
	if separator != "" {
		at := 0
		for _, f := range strings.Split(line, separator) {
			begin, end = append(begin, at), append(end, at+len(f))
			at += len(f) + len(separator)
		}
	} else {
		for at := 0; at < len(line); {
			begin = append(begin, at)
			for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
				at++
			}
			for at < len(line) && line[at] != ' ' && line[at] != '\t' {
				at++
			}
			end = append(end, at)
		}
	}
	if k.from > len(begin) {
		return ""
	}
	from, to := begin[k.from-1], len(line)
	if k.blank {
		for from < len(line) && (line[from] == ' ' || line[from] == '\t') {
			from++
		}
	}
	if k.fromChar > 1 {
		from = min(from+k.fromChar-1, len(line))
	}
	if k.to > 0 && k.to <= len(end) {
		to = end[k.to-1]
		if k.toChar > 0 {
			to = min(begin[k.to-1]+k.toChar, to)
		}
	}
	if to < from {
		return ""
	}
	return line[from:to]
}

// leadingNumber is the number that a string begins with; 0 if none.
func leadingNumber(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || end == 0 && s[end] == '-') {
		end++
	}
	n, _ := strconv.ParseFloat(s[:end], 64)
	return n
}
