package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func frame(kind byte, size uint32, body string) string {
	header := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(header[4:], size)
	return string(header) + body
}

func framed(r io.Reader, tty bool) *Stream {
	return newStream(nil, nil, bufio.NewReaderSize(r, bufferSize), tty)
}

// Hazard 5: whatever way the bytes arrive, stdout and stderr are apart and
// whole, by CopyOutput and by Read.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text, stdout, stderr strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			body := strings.Repeat("x", rapid.IntRange(0, 3*bufferSize).Draw(t, "size"))
			kind := rapid.SampledFrom([]byte{frameStdin, frameStdout, frameStderr}).Draw(t, "kind")
			text.WriteString(frame(kind, uint32(len(body)), body))
			if kind == frameStderr {
				stderr.WriteString(body)
			} else {
				stdout.WriteString(body)
			}
		}
		var out, errs bytes.Buffer
		if err := framed(iotest.HalfReader(strings.NewReader(text.String())), false).CopyOutput(&out, &errs); err != nil {
			t.Fatal(err)
		}
		if out.String() != stdout.String() || errs.String() != stderr.String() {
			t.Fatalf("got %d and %d bytes", out.Len(), errs.Len())
		}
		read, err := io.ReadAll(framed(iotest.HalfReader(strings.NewReader(text.String())), false))
		if err != nil || string(read) != stdout.String() {
			t.Fatalf("read %d bytes, %v", len(read), err)
		}
	})
}

func TestBrokenFrames(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"unknown type": {frame(9, 1, "x"), "unknown type 9"},
		"no frames":    {"hello world", "unknown type"},
		"cut header":   {frame(1, 1, "x") + "\x01\x00", "unexpected EOF"},
		"cut body":     {frame(1, 10, "x"), "unexpected EOF"},
		// Nothing as large as that is ever reserved.
		"huge":         {frame(2, 1<<32-1, "x"), "unexpected EOF"},
		"engine error": {frame(3, 8, "disk bad"), "disk bad"},
	} {
		t.Run(name, func(t *testing.T) {
			err := framed(strings.NewReader(test.text), false).CopyOutput(io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("CopyOutput: got %v", err)
			}
			_, err = io.ReadAll(framed(strings.NewReader(test.text), false))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Read: got %v", err)
			}
		})
	}
	t.Run("writer fails", func(t *testing.T) {
		full := errors.New("full")
		r, w := io.Pipe()
		_ = r.CloseWithError(full)
		for _, tty := range []bool{true, false} {
			if err := framed(strings.NewReader(frame(1, 1, "x")), tty).CopyOutput(w, w); !errors.Is(err, full) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(frame(1, 2, "hi") + frame(2, 1, "!")))
	f.Add([]byte(frame(3, 1<<31, "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var copied bytes.Buffer
		copyErr := framed(bytes.NewReader(b), false).CopyOutput(&copied, io.Discard)
		read, readErr := io.ReadAll(framed(bytes.NewReader(b), false))
		if !bytes.Equal(copied.Bytes(), read) || (copyErr == nil) != (readErr == nil) {
			t.Errorf("%q, %v by copying, %q, %v by reading", copied.Bytes(), copyErr, read, readErr)
		}
	})
}
