package engine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// bufferSize is what streams are copied by: as engines send.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

type closeWriter interface{ CloseWrite() error }

// Stream is the connection to a program's standard streams. One goroutine may
// read while another one writes. Whoever got it closes it.
type Stream struct {
	conn   net.Conn
	closer closeWriter
	reader *bufio.Reader
	tty    bool

	// frame and left say where in the framed output Read is.
	frame byte
	left  uint32
}

func newStream(conn net.Conn, closer closeWriter, reader *bufio.Reader, tty bool) *Stream {
	return &Stream{conn: conn, closer: closer, reader: reader, tty: tty}
}

// Write writes to the program's standard input.
func (s *Stream) Write(b []byte) (int, error) { return s.conn.Write(b) }

// CloseWrite ends the program's standard input; its output goes on. With a
// terminal engines close both directions: write the terminal's end-of-file
// character instead.
func (s *Stream) CloseWrite() error { return s.closer.CloseWrite() }

// Close ends the connection, and with it every Read and Write under way. The
// program is not ended by that.
func (s *Stream) Close() error { return s.conn.Close() }

// Read reads the program's standard output; without a terminal it drops
// standard error. It is for programs that speak a protocol on their standard
// output; others want CopyOutput. Only one of the two may be used on a Stream.
//
// io.EOF is the end of the output, and also what is seen when an engine ends:
// it is no proof that the program has ended.
func (s *Stream) Read(b []byte) (int, error) {
	if s.tty {
		return s.reader.Read(b)
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if s.left > 0 && s.frame != frameStderr {
			if uint64(len(b)) > uint64(s.left) {
				b = b[:s.left]
			}
			n, err := s.reader.Read(b)
			s.left -= uint32(n)
			return n, cutShort(err, s.left)
		}
		for s.left > 0 {
			n, err := s.reader.Discard(int(min(s.left, bufferSize)))
			s.left -= uint32(n)
			if err != nil {
				return 0, cutShort(err, s.left)
			}
		}
		if err := s.nextFrame(); err != nil {
			return 0, err
		}
	}
}

// CopyOutput copies the program's output until its end, and returns nil then.
// With a terminal everything goes to stdout. It stops at the first error of a
// writer, or of the connection, which is an ErrUnavailable; so is a stream that ends
// within a frame, as io.ErrUnexpectedEOF.
func (s *Stream) CopyOutput(stdout, stderr io.Writer) error {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	buffer := *pooled
	if s.tty {
		// Not io.Copy with its short cuts: a writer's ReadFrom could hold
		// bytes back.
		for {
			n, err := s.reader.Read(buffer)
			if n > 0 {
				if _, err := stdout.Write(buffer[:n]); err != nil {
					return err
				}
			}
			if err != nil {
				return endOfStream(err)
			}
		}
	}
	for {
		if s.left == 0 {
			if err := s.nextFrame(); err != nil {
				return endOfStream(err)
			}
			continue // a frame may be empty
		}
		n, err := s.reader.Read(buffer[:min(s.left, bufferSize)])
		s.left -= uint32(n)
		if n > 0 {
			w := stdout
			if s.frame == frameStderr {
				w = stderr
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return endOfStream(cutShort(err, s.left))
		}
	}
}

// The types of frames; 0 is standard input, which no engine sends, but which
// their own clients take as standard output.
const (
	frameStdin  = 0
	frameStdout = 1
	frameStderr = 2
	frameSystem = 3
)

// nextFrame reads the 8 bytes before each piece of output: the type, three
// bytes of zero, the size as a big-endian number (Engine API, "Attach to a
// container").
func (s *Stream) nextFrame() error {
	var header [8]byte
	if _, err := io.ReadFull(s.reader, header[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(header[4:])
	switch header[0] {
	case frameStdin, frameStdout, frameStderr:
		s.frame, s.left = header[0], size
		return nil
	case frameSystem:
		// The engine's own word on why the output can't go on.
		text, err := io.ReadAll(io.LimitReader(s.reader, int64(min(size, refusalLimit))))
		if err != nil {
			return err
		}
		return &failure{op: "read output", message: string(text)}
	}
	return fmt.Errorf("read output: the engine sent a frame of unknown type %d; has the container a terminal?", header[0])
}

// cutShort turns an end within a frame into an error.
func cutShort(err error, left uint32) error {
	if err == io.EOF && left > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

func endOfStream(err error) error {
	var known *failure
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &known):
		return err
	}
	return fail("read output", ErrUnavailable, "the connection to the engine broke off: %w", err)
}
