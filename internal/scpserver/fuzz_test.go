//go:build linux

package scpserver

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever a client says, nothing is written but below the target, and it comes
// to an end.
func FuzzSink(f *testing.F) {
	f.Add("-rpt", "T5 0 6 0\nD0755 0 d\nC0600 1 x\na\x00E\nC4644 3 y\nabc\x00")
	f.Add("-t", "C0644 1 ../x\na\x00")
	f.Add("-rdt", "D0000 0 d\nC0644 0 x\n\x00\x01no\nE\nE\n")
	f.Add("-pt", "T9999999999999999 -1 -9999999999999999 9\nC0777 9223372036854775807 x\na")
	f.Fuzz(func(t *testing.T, options, says string) {
		outside := t.TempDir()
		target := filepath.Join(outside, "target")
		if err := os.Mkdir(target, 0o755); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			switch options {
			case "-f", "-rf": // a source has its own
			default:
				Run([]string{options, "--", target}, bytes.NewReader([]byte(says)), io.Discard, io.Discard)
			}
		}()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("it does not end")
		}
		left, err := os.ReadDir(outside)
		if err != nil || len(left) != 1 {
			t.Errorf("outside of the target: %v, %v", left, err)
		}
		_ = filepath.WalkDir(target, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700) // to be removed
			}
			return nil
		})
	})
}
