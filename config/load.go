package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-ssh/berth/internal/settings"
)

// Load reads a file, YAML or JSON, and returns a complete and valid
// configuration: defaults are filled in, and relative paths are resolved
// against the file's directory. What is wrong with the file's text comes as
// Problems.
func Load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	var at *fs.PathError
	if errors.As(err, &at) {
		return nil, fmt.Errorf("can't read the configuration %s: %w", path, at.Err)
	}
	return text, err
}

// Parse is Load for a text. name is the file's name; its directory is what
// relative paths are resolved against.
func Parse(name string, text []byte) (*Config, error) {
	c, _, err := read(name, text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func read(name string, text []byte) (*Config, *source, error) {
	s, tree, err := parse(name, text)
	if err != nil {
		return nil, s, err
	}
	var written Config
	if err := settings.Decode(tree, &written, true); err != nil {
		return nil, s, s.problems(err)
	}
	c := written.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, s, s.problems(err)
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, s, err
	}
	c.resolve(dir)
	return &c, s, nil
}

// problems brings what is wrong with keys into the order of the file.
func (s *source) problems(err error) Problems {
	var list Problems
	for _, one := range settings.List(err) {
		list = append(list, s.problem(one))
	}
	slices.SortStableFunc(list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}
