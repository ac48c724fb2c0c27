package main

import (
	"strings"
	"testing"
)

// What is wrong is counted: other bytes, too many, too few, and the server's own
// words where there should be none.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, want, got string
		broken          bool
		wrong           int64
	}{
		{"right", "some bytes", "some bytes", false, 0},
		{"nothing", "", "", false, 0},
		{"other bytes", "some bytes", "sOme bytEs", false, 2},
		{"too many", "some", "some bytes", false, 6},
		{"too few", "some bytes", "some", false, 6},
		{"swapped", "ab", "ba", false, 2},
		{"a notice", "some bytes", "berth: waiting\nsome bytes", false, 0},
		{"two notices", "some bytes", "berth: waiting\nberth: still\nsome bytes", false, 23},
		{"a failure", "some", "someberth: lost\n", false, 12},
		{"a failure that may be", "some bytes", "someberth: lost\n", true, 0},
		{"a failure after other bytes", "some bytes", "sOmeberth: lost\n", true, 1},
		{"a notice and a failure", "some bytes", "berth: waiting\nsoberth: lost\n", true, 0},
		{"a dying program", "some bytes", "someruntime: failed to create new OS thread (have 6 already; errno=12)\n", true, 0},
		{"a dying program and a failure", "some", "soruntime: failed to create new OS thread\nberth: lost\n", true, 0},
		{"a dying program in a living container", "some", "someruntime: failed to create new OS thread\n", false, 40},
		{"only a failure", "some bytes", "berth: lost\n", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &check{want: strings.NewReader(c.want)}
			k.withWords([]byte(c.got), c.broken)
			if !c.broken {
				k.end()
			}
			if k.wrong != c.wrong && !(c.wrong > 9 && k.wrong > 0) {
				t.Errorf("%d wrong bytes, want %d: %s", k.wrong, c.wrong, k.first)
			}
			if (k.first != "") != (c.wrong > 0) {
				t.Errorf("it says %q", k.first)
			}
		})
	}
}
