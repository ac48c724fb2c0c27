package config

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/berth-ssh/berth/internal/settings"
)

// Problem is one thing that is wrong with a file, or that will surprise.
type Problem struct {
	File string
	// Line and Column count from 1; 0 means that no place is known.
	Line, Column int
	// Key is the key's path, such as docker.execution.mode; may be empty.
	Key string
	// Err says what is wrong.
	Err error

	excerpt string
}

// Error is one line: FILE:LINE:COLUMN: KEY: what is wrong.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Err.Error())
	return b.String()
}

func (p *Problem) Unwrap() error { return p.Err }

// Excerpt is the line of the file with a mark below the place, in two lines
// with line ends; empty where there is none, or where a secret stands.
func (p *Problem) Excerpt() string { return p.excerpt }

// Problems is everything that is wrong with a file, in the file's order.
type Problems []*Problem

// Error is one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single problems.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, one := range p {
		errs[i] = one
	}
	return errs
}

// secretKey is the one key whose value nobody should see.
const secretKey = "docker.connection.key"

// problem finds the place of what is wrong with a key. A key that is not in the
// file has the place of the section that it belongs to.
func (s *source) problem(e *settings.KeyError) *Problem {
	p := &Problem{File: s.name, Key: e.Path.String(), Err: e.Err}
	if e.Unknown {
		// The message has the key itself.
		p.Key = e.Path[:len(e.Path)-1].String()
	}
	for n := len(e.Path); n > 0; n-- {
		at, ok := s.places[placeKey(e.Path[:n])]
		if !ok {
			continue
		}
		mark := at.value
		if n < len(e.Path) || e.Unknown {
			mark = at.key
		}
		p.Line, p.Column = mark.line, mark.column
		if p.Key != secretKey {
			p.excerpt = s.excerpt(mark)
		}
		break
	}
	return p
}

// excerpt shows the line of a mark. Lines of private keys are not shown.
func (s *source) excerpt(at mark) string {
	lines := strings.Split(s.text, "\n")
	if at.line < 1 || at.line > len(lines) {
		return ""
	}
	secret := false
	for i, line := range lines[:at.line] {
		if strings.Contains(line, "-----BEGIN") && strings.Contains(line, "PRIVATE KEY") {
			secret = true
			if i == at.line-1 {
				return ""
			}
		}
		if strings.Contains(line, "-----END") && i < at.line-1 {
			secret = false
		}
	}
	if secret {
		return ""
	}
	line := strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, lines[at.line-1])
	runes := []rune(line)
	column := min(max(at.column, 1), len(runes)+1) - 1
	// A tab takes as much room below as above.
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(runes[:column]))
	number := fmt.Sprintf("%6d", at.line)
	return fmt.Sprintf("%s | %s\n%s | %s^\n", number, line, strings.Repeat(" ", len(number)), indent)
}
