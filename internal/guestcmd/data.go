//go:build linux

package guestcmd

import (
	"bufio"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

func dataCommands() []Command {
	all := []Command{
		{Name: "base64", Usage: "[-di] [-w N] [FILE]", spec: "diw:", long: map[string]rune{"decode": 'd', "ignore-garbage": 'i', "wrap": 'w'},
			Help: "Encodes to base64.\n  -d    decodes\n  -i    ignoring what isn't base64\n  -w N  lines of N characters instead of 76; 0 for one line",
			run:  runBase64},
		{Name: "dd", Usage: "[if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [conv=notrunc,fsync] [status=none]", raw: true,
			Help: "Copies blocks. Numbers may end in k, M or G.\n  if, of       the files; standard input and output if not given\n  bs           how much is read at once, 512 if not given\n  count        how many blocks\n  skip, seek   how many blocks to leave out of the input, of the output\n  iflag=fullblock  waits for whole blocks",
			run:  runDD},
		{Name: "yes", Usage: "[STRING]...", spec: "+", Help: "Prints a line, y if none is given, until it is stopped.", run: runYes},
		{Name: "seq", Usage: "[-w] [-s STRING] [FIRST [STEP]] LAST", raw: true,
			Help: "Prints the numbers from FIRST, 1 if not given, to LAST.\n  -s STRING  between them instead of a new line\n  -w         of equal width",
			run:  runSeq},
	}
	for _, sum := range []struct {
		name string
		new  func() hash.Hash
	}{{"md5sum", md5.New}, {"sha1sum", sha1.New}, {"sha256sum", sha256.New}, {"sha512sum", sha512.New}} {
		all = append(all, Command{Name: sum.name, Usage: "[-c] [FILE]...", spec: "cbt", long: map[string]rune{"check": 'c'},
			Help: "Prints checksums.\n  -c  reads them from FILE and checks them",
			run:  func(c *call) int { return runSum(c, sum.new) }})
	}
	return all
}

func runBase64(c *call) int {
	width, err := strconv.Atoi(c.opts.value('w', "76"))
	if err != nil || width < 0 || len(c.args) > 1 {
		return c.die("wrong usage; base64 --help tells more")
	}
	c.eachInput(func(_ string, r *os.File) error {
		if c.opts.has('d') {
			in := io.Reader(r)
			if c.opts.has('i') {
				in = base64Only{bufio.NewReader(r)}
			}
			if _, err := io.Copy(c.out, base64.NewDecoder(base64.StdEncoding, in)); err != nil {
				return errors.New("invalid input")
			}
			return nil
		}
		w := &wrapper{w: c.out, width: width}
		e := base64.NewEncoder(base64.StdEncoding, w)
		if _, err := io.Copy(e, r); err != nil {
			return err
		}
		if err := e.Close(); err != nil {
			return err
		}
		if w.column > 0 && width > 0 {
			c.println()
		}
		return nil
	})
	return c.code()
}

// base64Only drops what isn't base64.
type base64Only struct{ r *bufio.Reader }

func (b base64Only) Read(p []byte) (int, error) {
	for {
		n, err := b.r.Read(p)
		kept := p[:0]
		for _, ch := range p[:n] {
			if isAlnum(ch) || ch == '+' || ch == '/' || ch == '=' {
				kept = append(kept, ch)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

// wrapper breaks lines at a width; 0 means never.
type wrapper struct {
	w             io.Writer
	width, column int
}

func (w *wrapper) Write(p []byte) (int, error) {
	n := len(p)
	for w.width > 0 && w.column+len(p) >= w.width {
		part := w.width - w.column
		if _, err := w.w.Write(append(p[:part:part], '\n')); err != nil {
			return 0, err
		}
		p, w.column = p[part:], 0
	}
	w.column += len(p)
	_, err := w.w.Write(p)
	return n, err
}

func runSum(c *call, newHash func() hash.Hash) int {
	sum := func(r io.Reader) (string, error) {
		h := newHash()
		_, err := io.Copy(h, r)
		return hex.EncodeToString(h.Sum(nil)), err
	}
	c.eachInput(func(name string, r *os.File) error {
		if !c.opts.has('c') {
			s, err := sum(r)
			if err == nil {
				c.printf("%s  %s\n", s, name)
			}
			return err
		}
		bad := 0
		err := eachLine(r, '\n', func(line []byte) bool {
			want, path, ok := strings.Cut(strings.TrimRight(string(line), "\n"), " ")
			if !ok || len(path) < 2 {
				c.fail("%s: no properly formatted checksum lines found", name)
				return false
			}
			path = path[1:]
			f, err := c.open(path)
			if err != nil {
				c.failFile(path, err)
				c.printf("%s: FAILED open or read\n", path)
				return true
			}
			got, err := sum(f)
			if f != c.in {
				f.Close()
			}
			if err != nil || !strings.EqualFold(got, want) {
				c.printf("%s: FAILED\n", path)
				bad++
			} else {
				c.printf("%s: OK\n", path)
			}
			return true
		})
		if bad > 0 {
			c.fail("WARNING: %d computed checksum did NOT match", bad)
		}
		return err
	})
	return c.code()
}

func runYes(c *call) int {
	line := "y"
	if len(c.args) > 0 {
		line = strings.Join(c.args, " ")
	}
	block := []byte(strings.Repeat(line+"\n", 8192/(len(line)+1)+1))
	for {
		if _, err := os.Stdout.Write(block); err != nil {
			return c.die("standard output: %s", reason(err))
		}
	}
}

func runSeq(c *call) int {
	separator, equal := "\n", false
	args := c.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if _, err := strconv.ParseFloat(args[0], 64); err == nil {
			break // a negative number
		}
		switch {
		case args[0] == "-w":
			equal = true
		case args[0] == "-s" && len(args) > 1:
			separator, args = args[1], args[1:]
		case strings.HasPrefix(args[0], "-s"):
			separator = args[0][2:]
		case args[0] == "--":
		default:
			return c.die("unknown option %s; seq --help tells more", args[0])
		}
		args = args[1:]
	}
	if len(args) < 1 || len(args) > 3 {
		return c.die("give one to three numbers")
	}
	numbers := []float64{}
	decimals := 0
	for i, a := range args {
		n, err := strconv.ParseFloat(a, 64)
		if err != nil || math.IsNaN(n) {
			return c.die("invalid number '%s'", a)
		}
		numbers = append(numbers, n)
		if _, fraction, ok := strings.Cut(a, "."); ok && i < max(1, len(args)-1) {
			decimals = max(decimals, len(fraction))
		}
	}
	first, step, last := 1.0, 1.0, numbers[len(numbers)-1]
	if len(numbers) > 1 {
		first = numbers[0]
	}
	if len(numbers) == 3 {
		step = numbers[1]
	}
	if step == 0 {
		return c.die("the step must not be 0")
	}
	width := 0
	if equal {
		width = max(len(strconv.FormatFloat(first, 'f', decimals, 64)), len(strconv.FormatFloat(last, 'f', decimals, 64)))
	}
	for i := 0; ; i++ {
		// Multiplied, not summed up: no error piles up.
		n := first + float64(i)*step
		if step > 0 && n > last+1e-9 || step < 0 && n < last-1e-9 {
			if i > 0 {
				c.println()
			}
			return 0
		}
		if i > 0 {
			c.printf("%s", separator)
		}
		c.printf("%0*.*f", width, decimals, n)
	}
}

func runDD(c *call) int {
	o := map[string]string{"bs": "512"}
	for _, a := range c.args {
		name, value, ok := strings.Cut(a, "=")
		switch name {
		case "if", "of", "bs", "count", "skip", "seek", "conv", "status", "iflag", "oflag":
		case "ibs", "obs":
			name = "bs"
		default:
			ok = false
		}
		if !ok {
			return c.die("unrecognized operand '%s'", a)
		}
		o[name] = value
	}
	number := func(name string) int64 {
		if o[name] == "" {
			return -1
		}
		n, err := parseSize(strings.TrimSuffix(strings.TrimSuffix(o[name], "iB"), "B"))
		if err != nil || n < 0 {
			c.fail("invalid number: '%s'", o[name])
		}
		return n
	}
	bs, count, skip, seek := number("bs"), number("count"), number("skip"), number("seek")
	truncate, sync := true, false
	for _, v := range strings.Split(o["conv"], ",") {
		switch v {
		case "":
		case "notrunc":
			truncate = false
		case "fsync", "fdatasync":
			sync = true
		default:
			c.fail("invalid conversion: '%s'", v)
		}
	}
	full := o["iflag"] == "fullblock"
	if o["iflag"] != "" && !full || o["oflag"] != "" && o["oflag"] != "append" {
		c.fail("only iflag=fullblock and oflag=append are known")
	}
	if bs == 0 {
		c.fail("invalid number: '0'")
	}
	if c.failed {
		return 1
	}
	in, out := os.Stdin, os.Stdout
	var err error
	if o["if"] != "" {
		if in, err = os.Open(o["if"]); err != nil {
			return c.die("failed to open '%s': %s", o["if"], reason(err))
		}
		defer in.Close()
	}
	if o["of"] != "" {
		flag := os.O_RDWR | os.O_CREATE
		if o["oflag"] == "append" {
			flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
		}
		if truncate && seek <= 0 {
			flag |= os.O_TRUNC
		}
		if out, err = os.OpenFile(o["of"], flag, 0o666); err != nil {
			return c.die("failed to open '%s': %s", o["of"], reason(err))
		}
		defer out.Close()
		if seek > 0 {
			if truncate {
				_ = out.Truncate(seek * bs)
			}
			if _, err := out.Seek(seek*bs, io.SeekStart); err != nil {
				return c.die("'%s': cannot seek: %s", o["of"], reason(err))
			}
		}
	}
	if skip > 0 {
		if _, err := in.Seek(skip*bs, io.SeekCurrent); err != nil {
			if _, err := io.CopyN(io.Discard, in, skip*bs); err != nil && err != io.EOF {
				return c.die("cannot skip: %s", reason(err))
			}
		}
	}
	started := time.Now()
	buffer := make([]byte, bs)
	var whole, part, wholeOut, partOut, copied int64
	for count < 0 || whole+part < count {
		var n int
		if full {
			n, err = io.ReadFull(in, buffer)
			if err == io.ErrUnexpectedEOF {
				err = nil
			}
		} else {
			n, err = in.Read(buffer)
		}
		if n > 0 {
			if int64(n) == bs {
				whole++
			} else {
				part++
			}
			m, werr := out.Write(buffer[:n])
			copied += int64(m)
			if int64(m) == bs {
				wholeOut++
			} else if m > 0 {
				partOut++
			}
			if werr != nil {
				c.fail("error writing: %s", reason(werr))
				break
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			c.fail("error reading: %s", reason(err))
			break
		}
	}
	if sync {
		if err := out.Sync(); err != nil {
			c.fail("%s", reason(err))
		}
	}
	if o["status"] != "none" {
		fmt.Fprintf(os.Stderr, "%d+%d records in\n%d+%d records out\n", whole, part, wholeOut, partOut)
		if o["status"] != "noxfer" {
			d := time.Since(started).Seconds()
			fmt.Fprintf(os.Stderr, "%d bytes copied, %.6g s, %.1f MB/s\n", copied, d, float64(copied)/1e6/max(d, 1e-9))
		}
	}
	return c.code()
}

// randomLetters are for names that nobody else has.
func randomLetters(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
