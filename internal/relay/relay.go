// Package relay copies streams that idle most of the time.
package relay

import (
	"io"
	"sync"
)

const (
	// small is what a copy holds while nothing comes: enough for what people type
	// and for most of what they read.
	small = 1 << 10
	// large is what it copies by while much comes: two packets of SSH, or all that
	// a pipe holds.
	large = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new([large]byte) }}

// Copy copies from src to dst until src ends, which is no error, or one of them
// fails. It is io.Copy, but for the memory: a reader that waits has a small
// buffer, and a large one is taken for as long as bytes come faster than that.
// Short cuts of either side (io.ReaderFrom, io.WriterTo) are not used: they bring
// their own buffers.
func Copy(dst io.Writer, src io.Reader) (written int64, err error) {
	idle := make([]byte, small)
	buf := idle
	var taken *[large]byte
	defer func() {
		if taken != nil {
			buffers.Put(taken)
		}
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			m, err := dst.Write(buf[:n])
			written += int64(m)
			if err != nil {
				return written, err
			}
			if m < n {
				return written, io.ErrShortWrite
			}
		}
		switch {
		case err == io.EOF:
			return written, nil
		case err != nil:
			return written, err
		case taken == nil && n == small:
			taken = buffers.Get().(*[large]byte)
			buf = taken[:]
		case taken != nil && n < small:
			buffers.Put(taken)
			taken, buf = nil, idle
		}
	}
}
