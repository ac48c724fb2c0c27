//go:build linux

package guestcmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
