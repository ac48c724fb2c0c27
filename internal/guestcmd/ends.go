//go:build linux

package guestcmd

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
