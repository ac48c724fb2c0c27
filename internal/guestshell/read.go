//go:build linux

package guestshell

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/syntax"
)

// readTerminal reads a line for the builtin `read`, and returns the command
// that takes it from there. The interpreter's own reading can't be ended by
// ctrl-c.
func readTerminal(ctx context.Context, terminal *os.File, args []string) ([]string, error) {
	var prompt string
	var silent bool
	rest := []string{"read"}
	for i := 1; i < len(args); i++ {
		letters, isOption := strings.CutPrefix(args[i], "-")
		if !isOption || letters == "" || letters == "-" {
			rest = append(rest, args[i:]...)
			break
		}
		for j, letter := range letters {
			switch letter {
			case 's':
				silent = true
				continue
			case 'p':
				prompt = letters[j+1:]
				if prompt == "" && i+1 < len(args) {
					i++
					prompt = args[i]
				}
			case 'a', 'r':
				rest = append(rest, "-"+string(letter))
				continue
			default:
				return args, nil // it says that this is none
			}
			break
		}
	}
	line, err := terminalLine(ctx, terminal, prompt, silent)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i, word := range rest {
		rest[i] = quote(word)
	}
	if err != nil && line == "" {
		rest = append(rest, "</dev/null")
	} else {
		rest = append(rest, "<<<", quote(strings.TrimSuffix(line, "\n")))
	}
	return []string{"eval", strings.Join(rest, " ")}, nil
}

// terminalLine reads a line, with its newline, from a terminal that edits
// lines; silent without showing what is typed from the prompt on.
func terminalLine(ctx context.Context, terminal *os.File, prompt string, silent bool) (string, error) {
	fd := int(terminal.Fd())
	if silent {
		old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return "", err
		}
		hidden := *old
		hidden.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
			return "", err
		}
		defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }()
	}
	fmt.Fprint(os.Stderr, prompt)
	var line strings.Builder
	for b := make([]byte, 1); ctx.Err() == nil; {
		// A read under way can't be ended.
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(ready, 100); n <= 0 {
			continue
		}
		if _, err := terminal.Read(b); err != nil {
			return line.String(), err
		}
		line.WriteByte(b[0])
		if b[0] == '\n' {
			break
		}
	}
	return line.String(), nil
}

// quote quotes a word for the shell.
func quote(word string) string {
	quoted, err := syntax.Quote(word, syntax.LangBash)
	if err != nil { // a NUL, which no terminal or command line sends on
		return "''"
	}
	return quoted
}
