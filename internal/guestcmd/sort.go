//go:build linux

package guestcmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

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
