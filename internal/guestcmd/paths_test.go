//go:build linux

package guestcmd

import (
	"slices"
	"testing"
)

// Paths is a copy that every platform can read.
func TestPaths(t *testing.T) {
	var want []string
	for _, c := range Commands() {
		if c.Paths == nil {
			want = append(want, "/bin/"+c.Name)
		}
		want = append(want, c.Paths...)
		if c.Help == "" || c.run == nil {
			t.Errorf("%s has no help or does nothing", c.Name)
		}
	}
	slices.Sort(want)
	if got := Paths(); !slices.Equal(got, want) {
		t.Errorf("Paths() is\n%q, want\n%q", got, want)
	}
}
