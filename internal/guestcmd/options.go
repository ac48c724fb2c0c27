//go:build linux

package guestcmd

import (
	"fmt"
	"strings"
)

// options are what a command was given, by letter. A letter that came several
// times has several values; one without an argument has empty ones.
type options map[rune][]string

func (o options) has(letter rune) bool { return len(o[letter]) > 0 }

// value is the last value of a letter, or otherwise.
func (o options) value(letter rune, otherwise string) string {
	if v := o[letter]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// last is the one of the letters that came last of all; zero if none did.
// It is for options that override each other.
func (o options) last(letters string) rune {
	order := o[orderKey]
	for i := len(order) - 1; i >= 0; i-- {
		if strings.Contains(letters, order[i]) {
			return []rune(order[i])[0]
		}
	}
	return 0
}

// orderKey holds the letters in the order they came.
const orderKey = rune(0)

// parseOptions parses args as getopt_long does. spec has the letters, each
// with a ':' if it takes an argument; a leading '+' ends options at the first
// operand, as commands need that run other commands. long maps names to
// letters.
func parseOptions(args []string, spec string, long map[string]rune) (options, []string, error) {
	takes := map[rune]bool{}
	posixly := strings.HasPrefix(spec, "+")
	letters := []rune(strings.TrimPrefix(spec, "+"))
	for i, l := range letters {
		if l != ':' {
			takes[l] = i+1 < len(letters) && letters[i+1] == ':'
		}
	}
	opts := options{}
	add := func(l rune, v string) {
		opts[l] = append(opts[l], v)
		opts[orderKey] = append(opts[orderKey], string(l))
	}
	var operands []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return opts, append(operands, args[i+1:]...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, hasValue := strings.Cut(arg[2:], "=")
			l, ok := long[name]
			switch {
			case !ok:
				return nil, nil, fmt.Errorf("unknown option --%s", name)
			case hasValue && !takes[l]:
				return nil, nil, fmt.Errorf("option --%s takes no argument", name)
			case takes[l] && !hasValue:
				if i++; i == len(args) {
					return nil, nil, fmt.Errorf("option --%s needs an argument", name)
				}
				value = args[i]
			}
			add(l, value)
		case len(arg) > 1 && arg[0] == '-':
			for j, l := range arg[1:] {
				needs, ok := takes[l]
				if !ok {
					return nil, nil, fmt.Errorf("unknown option -%c", l)
				}
				if !needs {
					add(l, "")
					continue
				}
				value := arg[1+j+len(string(l)):]
				if value == "" {
					if i++; i == len(args) {
						return nil, nil, fmt.Errorf("option -%c needs an argument", l)
					}
					value = args[i]
				}
				add(l, value)
				break
			}
		default:
			if posixly {
				return opts, args[i:], nil
			}
			operands = append(operands, arg)
		}
	}
	return opts, operands, nil
}
