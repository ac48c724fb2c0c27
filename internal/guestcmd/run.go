//go:build linux

package guestcmd

import (
	"errors"
	"io/fs"
	"os/exec"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// startReason says why a program could not be started.
func startReason(err error) string {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "No such file or directory"
	}
	return reason(err)
}

// exitCode is the code for how a program ended, as a shell has it: 128 and the
// signal for one that was killed, 127 for one that isn't there, 126 for one
// that could not be run.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return 127
	default:
		return 126
	}
}

// globMatcher compiles a shell pattern that matches a whole string; * also
// matches slashes.
func globMatcher(pattern string, fold bool) (func(string) bool, error) {
	var re strings.Builder
	re.WriteString(`(?s)^`)
	if fold {
		re.WriteString(`(?i)`)
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			re.WriteString(`.*`)
		case '?':
			re.WriteString(`.`)
		case '\\':
			if i++; i < len(pattern) {
				re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
			}
		case '[':
			end := i + 1
			if end < len(pattern) && (pattern[end] == '!' || pattern[end] == '^') {
				end++
			}
			if end < len(pattern) && pattern[end] == ']' {
				end++
			}
			for end < len(pattern) && pattern[end] != ']' {
				if strings.HasPrefix(pattern[end:], "[:") {
					if n := strings.Index(pattern[end:], ":]"); n > 0 {
						end += n + 1
					}
				}
				end++
			}
			if end >= len(pattern) {
				re.WriteString(`\[`)
				continue
			}
			set := pattern[i+1 : end]
			re.WriteByte('[')
			if set[0] == '!' || set[0] == '^' {
				re.WriteByte('^')
				set = set[1:]
			}
			re.WriteString(strings.ReplaceAll(set, `\`, `\\`))
			re.WriteByte(']')
			i = end
		default:
			re.WriteString(regexp.QuoteMeta(string([]byte{c})))
		}
	}
	re.WriteString(`$`)
	compiled, err := regexp.Compile(re.String())
	if err != nil {
		return nil, err
	}
	return compiled.MatchString, nil
}
