package settings

import (
	"errors"
	"fmt"
	"strings"
)

// Path leads to a key: names of keys, and "[0]" for the entries of lists.
type Path []string

// String joins the elements with dots.
func (p Path) String() string {
	var b strings.Builder
	for i, e := range p {
		if i > 0 && !strings.HasPrefix(e, "[") {
			b.WriteByte('.')
		}
		b.WriteString(e)
	}
	return b.String()
}

// child returns a path of its own that goes one element further.
func (p Path) child(e string) Path {
	c := make(Path, len(p)+1)
	copy(c, p)
	c[len(p)] = e
	return c
}

// KeyError says what is wrong with the value of one key.
type KeyError struct {
	Path Path
	Err  error
	// Unknown is set if it is the key that is wrong, not its value.
	Unknown bool
}

func (e *KeyError) Error() string {
	if len(e.Path) == 0 {
		return e.Err.Error()
	}
	return e.Path.String() + ": " + e.Err.Error()
}

func (e *KeyError) Unwrap() error { return e.Err }

// Errors is a list of what is wrong, in the order of the structure.
type Errors []error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) Unwrap() []error { return e }

// Add notes that the value at a key is wrong. The key may have dots.
func (e *Errors) Add(key, format string, args ...any) {
	*e = append(*e, &KeyError{Path: splitKey(key), Err: fmt.Errorf(format, args...)})
}

// Under notes the errors of a part of the structure, found under key. A key of
// "" is a part whose keys are inlined. A nil err is nothing.
func (e *Errors) Under(key string, err error) {
	for _, one := range List(err) {
		*e = append(*e, &KeyError{
			Path:    append(splitKey(key), one.Path...),
			Err:     one.Err,
			Unknown: one.Unknown,
		})
	}
}

// Err returns nil if nothing was noted.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// List takes an error apart into what is wrong with single keys. An error that
// names no key gets an empty path.
func List(err error) []*KeyError {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*KeyError
		for _, one := range many.Unwrap() {
			list = append(list, List(one)...)
		}
		return list
	}
	var one *KeyError
	if errors.As(err, &one) {
		return []*KeyError{one}
	}
	return []*KeyError{{Err: err}}
}

func splitKey(key string) Path {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}
