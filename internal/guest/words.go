//go:build linux

package guest

import (
	"errors"
	"slices"
	"strings"
)

// reserved are the words that begin something else than a program's name.
var reserved = []string{"!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while"}

// words splits a command line as a shell does, where there is no shell: blanks,
// quotes and backslashes have their meaning; all else that a shell would do is
// refused, rather than done otherwise.
func words(line string) ([]string, error) {
	var list []string
	var word []byte
	var quote byte
	inWord, escaped := false, false
	plain := true  // nothing of the word was quoted
	ended := false // by a newline: nothing may come after it
	begin := func() error {
		if ended {
			return errors.New("it has several lines")
		}
		inWord = true
		return nil
	}
	end := func() error {
		if len(list) == 0 && plain && slices.Contains(reserved, string(word)) {
			return errors.New("it uses " + string(word))
		}
		list = append(list, string(word))
		word, inWord, plain = nil, false, true
		return nil
	}
	for i := range len(line) {
		c := line[i]
		var err error
		switch {
		case escaped:
			escaped = false
			if c == '\n' {
				break // the line goes on
			}
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(c)) {
				word = append(word, '\\')
			}
			err, plain = begin(), false
			word = append(word, c)
		case c == '\\' && quote != '\'':
			escaped = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'' || quote == '"' && c != '$' && c != '`':
			word = append(word, c)
		case quote == 0 && (c == '\'' || c == '"'):
			err, plain = begin(), false
			quote = c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				err = end()
			}
			ended = ended || c == '\n' && len(list) > 0
		case strings.ContainsRune("$`|&;<>()*?[#~{}", rune(c)):
			err = errors.New("it uses " + string(rune(c)))
		case c == '=' && len(list) == 0 && plain && isName(word):
			err = errors.New("it sets a variable")
		default:
			err = begin()
			word = append(word, c)
		}
		if err != nil {
			return nil, err
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		if err := end(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// isName says whether a variable can have that name.
func isName(word []byte) bool {
	for i, c := range word {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(word) > 0
}
