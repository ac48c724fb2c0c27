//go:build linux

package guestcmd

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func dataCommands() []Command {
	return []Command{
		{Name: "false", Usage: "", raw: true, Help: "Fails.", run: func(*call) int { return 1 }},
		{Name: "true", Usage: "", raw: true, Help: "Does nothing, well.", run: func(*call) int { return 0 }},
		{Name: "echo", Usage: "[-n] [WORD]...", raw: true, Help: "Prints words.\n  -n  without the end of the line",
			run: func(c *call) int {
				end := "\n"
				if len(c.args) > 0 && c.args[0] == "-n" {
					c.args, end = c.args[1:], ""
				}
				c.printf("%s%s", strings.Join(c.args, " "), end)
				return 0
			}},
		{Name: "pwd", Usage: "", spec: "LP", Help: "Prints the working directory.",
			run: func(c *call) int {
				dir, err := os.Getwd()
				if err != nil {
					return c.die("%s", reason(err))
				}
				c.println(dir)
				return 0
			}},
		{Name: "basename", Usage: "NAME [SUFFIX]", spec: "", Help: "Prints the last part of a path.",
			run: func(c *call) int {
				if len(c.args) == 0 {
					return c.die("no name given")
				}
				base := filepath.Base(c.args[0])
				if len(c.args) > 1 && base != c.args[1] {
					base = strings.TrimSuffix(base, c.args[1])
				}
				c.println(base)
				return 0
			}},
		{Name: "dirname", Usage: "NAME...", spec: "", Help: "Prints paths without their last part.",
			run: func(c *call) int {
				for _, a := range c.args {
					c.println(filepath.Dir(strings.TrimRight(a, "/")))
				}
				return 0
			}},
		{Name: "readlink", Usage: "[-f] FILE...", spec: "f", Help: "Prints where a link leads.\n  -f  to its very end",
			run: func(c *call) int {
				for _, a := range c.args {
					target, err := os.Readlink(a)
					if c.opts.has('f') {
						if target, err = filepath.EvalSymlinks(a); err == nil {
							target, err = filepath.Abs(target)
						}
					}
					if err != nil {
						c.failed = true
						continue
					}
					c.println(target)
				}
				return c.code()
			}},
		{Name: "seq", Usage: "[FIRST [STEP]] LAST", raw: true, Help: "Prints whole numbers.", run: runSeq},
		{Name: "sha256sum", Usage: "[FILE]...", spec: "", Help: "Prints SHA-256 hashes.",
			run: func(c *call) int {
				c.eachInput(func(name string, r *os.File) error {
					h := sha256.New()
					if _, err := io.Copy(h, r); err != nil {
						return err
					}
					c.printf("%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
					return nil
				})
				return c.code()
			}},
		{Name: "yes", Usage: "[WORD]...", raw: true, Help: "Prints words, or y, until it is stopped.",
			run: func(c *call) int {
				line := "y\n"
				if len(c.args) > 0 {
					line = strings.Join(c.args, " ") + "\n"
				}
				for {
					if _, err := io.WriteString(c.out, line); err != nil {
						return 1
					}
				}
			}},
	}
}

func runSeq(c *call) int {
	n := []int{1, 1, 0}
	var values []int
	for _, a := range c.args {
		v, err := strconv.Atoi(a)
		if err != nil {
			return c.die("'%s' is not a whole number", a)
		}
		values = append(values, v)
	}
	switch len(values) {
	case 1:
		n[2] = values[0]
	case 2:
		n[0], n[2] = values[0], values[1]
	case 3:
		n = values
	default:
		return c.die("wants one to three numbers")
	}
	if n[1] == 0 {
		return c.die("a step of zero does not end")
	}
	for i := n[0]; n[1] > 0 && i <= n[2] || n[1] < 0 && i >= n[2]; i += n[1] {
		c.println(i)
	}
	return 0
}
