package relay

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// chunks reads pieces of random sizes.
type chunks struct {
	rest []byte
	rng  *rand.Rand
}

func (c *chunks) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := min(len(b), len(c.rest), 1+c.rng.IntN(1<<c.rng.IntN(17)))
	copy(b, c.rest[:n])
	c.rest = c.rest[n:]
	return n, nil
}

func TestCopy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		content := make([]byte, rng.IntN(300_000))
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		var out bytes.Buffer
		n, err := Copy(&out, &chunks{content, rng})
		if err != nil || n != int64(len(content)) || !bytes.Equal(out.Bytes(), content) {
			t.Fatalf("%d of %d bytes, %v", n, len(content), err)
		}
	}
	failure := errors.New("broken")
	if _, err := Copy(io.Discard, iotest.ErrReader(failure)); err != failure {
		t.Errorf("a reader's failure came as %v", err)
	}
	r, w := io.Pipe()
	_ = r.CloseWithError(failure)
	if _, err := Copy(w, bytes.NewReader([]byte("x"))); err != failure {
		t.Errorf("a writer's failure came as %v", err)
	}
	// Bytes that come with an end or a failure count.
	var out bytes.Buffer
	if _, err := Copy(&out, iotest.DataErrReader(bytes.NewReader([]byte("last")))); out.String() != "last" || err != nil {
		t.Errorf("%q, %v", out.String(), err)
	}
}
