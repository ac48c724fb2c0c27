package agentproto

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// dribble gives pieces of random sizes, and then a failure, sometimes with the last.
type dribble struct {
	io.WriteCloser
	rest    []byte
	rng     *rand.Rand
	failure error
}

func (d *dribble) Read(b []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, d.failure
	}
	n := min(len(b), len(d.rest), 1+d.rng.IntN(1<<d.rng.IntN(14)))
	copy(b, d.rest[:n])
	if d.rest = d.rest[n:]; len(d.rest) == 0 && d.rng.IntN(2) == 0 {
		return n, d.failure
	}
	return n, nil
}

// Whatever sizes the pieces have that come and the buffers that they are read into,
// all bytes arrive, and the failure after them.
func TestReadAhead(t *testing.T) {
	failure := errors.New("broken")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		sent := make([]byte, rng.IntN(200_000))
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		c := &conn{ReadWriteCloser: &dribble{rest: sent, rng: rng, failure: failure}}
		var got []byte
		var err error
		for err == nil {
			buf := make([]byte, 1+rng.IntN(1<<rng.IntN(15)))
			var n int
			n, err = c.Read(buf)
			got = append(got, buf[:n]...)
		}
		if err != failure || !bytes.Equal(got, sent) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(sent), err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != failure {
			t.Fatalf("%d bytes after the end, %v", n, err)
		}
	}
}
