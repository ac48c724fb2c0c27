package backend

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on what one session may set. A client that wants more is refused.
const (
	// MaxEnvVars is the number of variables of a session.
	MaxEnvVars = 256
	// MaxEnvBytes bounds the names and values of a session's variables
	// together. Linux gives a program 128 KiB for each string.
	MaxEnvBytes = 128 << 10
	// MaxCommandBytes is the longest command line: Linux' MAX_ARG_STRLEN less
	// its end.
	MaxCommandBytes = 128<<10 - 1
	// maxTermBytes bounds the value of TERM.
	maxTermBytes = 256
)

// ValidEnv says whether a client may set a variable. Names must be printable
// ASCII without "=" and spaces; values must not hold NUL. Variables of the
// dynamic loader are refused: where a program of the image runs with more
// rights than its user they would be a way in.
func ValidEnv(name, value string) error {
	if name == "" {
		return errors.New("empty name")
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '=' {
			return fmt.Errorf("name %q has a character that names must not have", name)
		}
	}
	if strings.HasPrefix(name, "LD_") {
		return fmt.Errorf("%s belongs to the dynamic loader", name)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("value of %s holds a NUL byte", name)
	}
	return nil
}

// setEnv adds or replaces a variable within the limits.
func setEnv(env []EnvVar, name, value string) ([]EnvVar, error) {
	if err := ValidEnv(name, value); err != nil {
		return env, err
	}
	size, at := len(name)+len(value), -1
	for i, v := range env {
		if v.Name == name {
			at = i
			continue
		}
		size += len(v.Name) + len(v.Value)
	}
	if size > MaxEnvBytes {
		return env, fmt.Errorf("more than %d bytes of environment", MaxEnvBytes)
	}
	if at >= 0 {
		env[at].Value = value
		return env, nil
	}
	if len(env) >= MaxEnvVars {
		return env, fmt.Errorf("more than %d variables", MaxEnvVars)
	}
	return append(env, EnvVar{name, value}), nil
}

// validTerm checks the terminal type that a client names.
func validTerm(term string) error {
	if len(term) > maxTermBytes {
		return fmt.Errorf("terminal type is longer than %d bytes", maxTermBytes)
	}
	for i := range len(term) {
		if c := term[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("terminal type %q has a character that it must not have", term)
		}
	}
	return nil
}
