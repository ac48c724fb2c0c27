package agentproto

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"github.com/libp2p/go-yamux/v5"
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

// record keeps what is written, Write by Write.
type record struct {
	io.ReadCloser
	writes []string
}

func (r *record) Write(b []byte) (int, error) {
	r.writes = append(r.writes, string(b))
	return len(b), nil
}

// What opens streams goes with what comes next, and all else at once.
func TestOpeningGoesWithTheFirstMessage(t *testing.T) {
	frame := func(kind, flags byte, id string) string {
		return "\x00" + string(kind) + "\x00" + string(flags) + id + "\x00\x00\x00\x00"
	}
	r := &record{}
	c := &conn{ReadWriteCloser: r}
	for _, b := range []string{
		frame(1, 1, "   1"), "message 1", "more",
		frame(1, 1, "   3"), frame(1, 1, "   5"), "message 5",
		frame(1, 2, "   2"), frame(1, 0, "   1"), frame(1, 8, "   3"),
		frame(1, 1, "   7"), frame(2, 1, "ping"),
	} {
		if n, err := c.Write([]byte(b)); n != len(b) || err != nil {
			t.Errorf("%d bytes of %d written, %v", n, len(b), err)
		}
	}
	want := []string{
		frame(1, 1, "   1") + "message 1", "more",
		frame(1, 1, "   3") + frame(1, 1, "   5") + "message 5",
		frame(1, 2, "   2"), frame(1, 0, "   1"), frame(1, 8, "   3"),
		frame(1, 1, "   7") + frame(2, 1, "ping"),
	}
	if !slices.Equal(r.writes, want) {
		t.Errorf("written %q, want %q", r.writes, want)
	}
}

// The library opens streams as this package takes it to.
func TestOneWriteForAStream(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	b := &budget{left: growth}
	mux, err := yamux.Client(&conn{ReadWriteCloser: here}, muxConfig(maxStreamsToServer), b.open)
	if err != nil {
		t.Fatal(err)
	}
	defer mux.Close()
	got := make([]byte, 100)
	// It begins with a ping.
	if n, err := there.Read(got); err != nil || n != 12 || got[1] != 2 {
		t.Fatalf("the first write is %q, %v", got[:n], err)
	}
	s, err := mux.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := writeMessage(s, &stdio{}); err != nil {
		t.Fatal(err)
	}
	const message = "\x00\x00\x00\x01\x01"
	n, err := there.Read(got) // gets no more than one Write
	if got = got[:n]; err != nil || n != 12+12+len(message) || !opens(got[:12]) || !bytes.HasSuffix(got, []byte(message)) {
		t.Errorf("written at once is %q, %v", got, err)
	}
}
