package sshserver

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// written keeps what is written, Write by Write.
type written struct {
	net.Conn
	pieces [][]byte
}

func (w *written) Write(b []byte) (int, error) {
	w.pieces = append(w.pieces, bytes.Clone(b))
	return len(b), nil
}

// The beginning of a packet goes with the rest, and alone where nothing follows.
func TestTransportWritesPacketsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		c := &transport{Conn: w}
		write := func(n int) {
			t.Helper()
			if got, err := c.Write(bytes.Repeat([]byte{byte(n)}, n)); got != n || err != nil {
				t.Errorf("wrote %d of %d bytes, %v", got, n, err)
			}
		}
		want := func(sizes ...int) {
			t.Helper()
			var total, got int
			for _, n := range sizes {
				total += n
			}
			for _, p := range w.pieces {
				got += len(p)
			}
			if got != total {
				t.Errorf("%d bytes have been sent, want %d", got, total)
			}
			w.pieces = nil
		}
		write(100)
		want(100)
		write(pieceSize)
		want()
		write(200)
		want(pieceSize, 200)
		write(pieceSize)
		write(pieceSize) // a rest that is as long
		want(pieceSize, pieceSize)
		write(pieceSize)
		time.Sleep(2 * pieceWait)
		synctest.Wait()
		want(pieceSize)
		write(1)
		want(1)
	})
}
