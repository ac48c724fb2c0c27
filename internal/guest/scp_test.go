//go:build linux

package guest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A client's scp finds the agent where the image has no scp, and nothing else
// gets to see it.
func TestWithSCP(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Dir(self)
	empty, image := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(image, scpName), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(beside, scpName)
	if err := os.Symlink(filepath.Base(self), link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(link) })
	for _, c := range []struct {
		name, command, path, want string
	}{
		{"an image without scp", "scp -t file", empty, empty + ":" + beside},
		{"an image with scp", "scp -t file", image, image},
		{"a user's own use of scp", "scp file host:", empty, empty},
		{"another program", "scp-wrapper -t", empty, empty},
		{"a command that has it inside", "cd x; scp -t .", empty, empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := withSCP(c.command, []string{"PATH=" + c.path})
			if want := []string{"PATH=" + c.want}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
