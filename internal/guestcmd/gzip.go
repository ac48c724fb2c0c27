//go:build linux

package guestcmd

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

var gzipLong = map[string]rune{"stdout": 'c', "decompress": 'd', "force": 'f', "keep": 'k', "no-name": 'n', "test": 't', "fast": '1', "best": '9'}

func runGzip(c *call) int {
	unpack := c.name != "gzip" || c.opts.has('d') || c.opts.has('t')
	toStdout := c.opts.has('c') || c.name == "zcat" || c.opts.has('t')
	level := gzip.DefaultCompression
	if l := c.opts.last("123456789"); l != 0 {
		level = int(l - '0')
	}
	convert := func(w io.Writer, r io.Reader) error {
		if unpack {
			z, err := gzip.NewReader(r)
			if err == nil {
				_, err = io.Copy(w, z)
			}
			return err
		}
		z, err := gzip.NewWriterLevel(w, level)
		if err != nil {
			return err
		}
		if _, err := io.Copy(z, r); err != nil {
			return err
		}
		return z.Close()
	}
	names := c.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		r, err := c.open(name)
		if err != nil {
			c.failFile(name, err)
			continue
		}
		if toStdout || name == "-" {
			out := io.Writer(c.out)
			if c.opts.has('t') {
				out = io.Discard
			}
			if !unpack && isTerminal(os.Stdout) && !c.opts.has('f') {
				return c.die("compressed data not written to a terminal")
			}
			if err := convert(out, r); err != nil {
				c.failFile(name, err)
			}
			if r != c.in {
				r.Close()
			}
			continue
		}
		err = c.gzipFile(name, unpack, r, convert)
		r.Close()
		if err != nil {
			c.failFile(name, err)
		}
	}
	return c.code()
}

func (c *call) gzipFile(name string, unpack bool, r *os.File, convert func(io.Writer, io.Reader) error) error {
	target := name + ".gz"
	if unpack {
		switch {
		case strings.HasSuffix(name, ".gz"):
			target = strings.TrimSuffix(name, ".gz")
		case strings.HasSuffix(name, ".tgz"):
			target = strings.TrimSuffix(name, ".tgz") + ".tar"
		default:
			return errors.New("unknown suffix -- ignored")
		}
	}
	info, err := r.Stat()
	if err != nil {
		return err
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.opts.has('f') {
		flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	w, err := os.OpenFile(target, flag, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("%s: %s", target, reason(err))
	}
	b := bufio.NewWriterSize(w, 64<<10)
	err = convert(b, r)
	err = errors.Join(err, b.Flush(), w.Close())
	if err != nil {
		os.Remove(target)
		return err
	}
	if err := os.Chtimes(target, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	if !c.opts.has('k') {
		return os.Remove(name)
	}
	return nil
}
