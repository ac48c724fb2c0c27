//go:build linux

package guest

import (
	"errors"
	"strings"
)

// words splits a command line as a shell does, where there is no shell: blanks,
// quotes and backslashes have their meaning; all else that a shell would do is
// refused, rather than done otherwise.
func words(line string) ([]string, error) {
	var list []string
	var word strings.Builder
	inWord := false
	var quote rune
	escaped := false
	for _, c := range line {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`\n", c) {
				word.WriteByte('\\')
			}
			if c != '\n' {
				word.WriteRune(c)
			}
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'' || quote == '"' && c != '$' && c != '`':
			word.WriteRune(c)
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				list = append(list, word.String())
				word.Reset()
				inWord = false
			}
		case strings.ContainsRune("$`|&;<>()*?[#~{}", c):
			return nil, errors.New("it uses " + string(c))
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		list = append(list, word.String())
	}
	return list, nil
}
