package docker

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// What the beginning of a program's output is taken for does not hang on the
// pieces in which it comes; and what is not the agent's goes to the user.
func FuzzFirstOutput(f *testing.F) {
	f.Add([]byte("\x07\x00\x00\x00hello"), uint8(4), false)
	f.Add([]byte("\x0d\x0a\x0a\x00\x00hello"), uint8(1), true)
	f.Add([]byte("\x0d\x0d\x0a\x00\x00x"), uint8(2), true)
	f.Add([]byte("OCI runtime exec failed: no such file"), uint8(3), false)
	f.Add([]byte("\x0a\x00"), uint8(0), true)
	f.Fuzz(func(t *testing.T, said []byte, piece uint8, terminal bool) {
		run := func(piece int) (*firstOutput, []byte) {
			var out bytes.Buffer
			first := newFirstOutput(&out, terminal, true)
			for rest := said; len(rest) > 0; {
				n := min(piece, len(rest))
				if k, err := first.Write(rest[:n]); k != n || err != nil {
					t.Fatalf("%d of %d, %v", k, n, err)
				}
				rest = rest[n:]
			}
			first.end()
			return first, out.Bytes()
		}
		whole, out := run(max(1, len(said)))
		parts, again := run(1 + int(piece))
		if whole.id != parts.id || whole.failed != parts.failed || !bytes.Equal(whole.said, parts.said) || !bytes.Equal(out, again) {
			t.Errorf("%q: %d, %v, %q, %q at once; %d, %v, %q, %q in pieces of %d", said,
				whole.id, whole.failed, whole.said, out, parts.id, parts.failed, parts.said, again, 1+int(piece))
		}
		if whole.id < 0 || whole.id > maxPID {
			t.Errorf("%q: process %d", said, whole.id)
		}
		if whole.id > 0 && !terminal && (len(said) < 4 || uint32(whole.id) != binary.LittleEndian.Uint32(said) || !bytes.Equal(out, said[4:])) {
			t.Errorf("%q: process %d, %q", said, whole.id, out)
		}
	})
}

// A program without an agent has all of its output, unless it ends as if it had
// not been started.
func FuzzFirstWords(f *testing.F) {
	f.Add([]byte("OCI runtime exec failed: no such file"), 127)
	f.Add([]byte("[FATAL tini (7)] exec x failed: No such file or directory"), 127)
	f.Add([]byte("[FATAL tini ("), 0)
	f.Add(bytes.Repeat([]byte("ERROR (catatonit:"), 1000), 126)
	f.Fuzz(func(t *testing.T, said []byte, code int) {
		var out bytes.Buffer
		first := newFirstOutput(&out, false, false)
		if n, err := first.Write(said); n != len(said) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		first.end()
		err := first.verdict(stepExecAttach, code)
		switch {
		case err == nil && !bytes.Equal(out.Bytes(), said):
			t.Errorf("%q became %q", said, out.Bytes())
		case err != nil && (out.Len() > 0 || code != 126 && code != 127):
			t.Errorf("%q with code %d: %v, and %q", said, code, err, out.Bytes())
		}
	})
}
