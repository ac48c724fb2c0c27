package agentproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A message is a length (uint32, big endian, of what follows), a type (one
// byte), and a body. Bodies are made of the data types of RFC 4251 section 5:
// byte, boolean, uint32, and string (a uint32 length and as many bytes).

const (
	// maxToAgent bounds messages to the agent: command line, environment.
	maxToAgent = 1 << 20
	// maxToServer bounds messages from the agent, which may be hostile.
	maxToServer = 8 << 10
)

// messageType is the first byte of a message.
type messageType byte

const (
	// The first message on a stream says what the stream is for.
	typeStdio    messageType = 1
	typeSession  messageType = 2
	typeDial     messageType = 3
	typeListen   messageType = 4
	typeAccepted messageType = 5

	// From server to agent, on a session stream.
	typeResize   messageType = 16
	typeSignal   messageType = 17
	typeInputEnd messageType = 18

	// From agent to server.
	typeStarted   messageType = 32
	typeFailed    messageType = 33
	typeExit      messageType = 34
	typeConnected messageType = 35
	typeListening messageType = 36
)

// message is one that can be sent.
type message interface {
	kind() messageType
	encode(e *encoder)
	// decode may be called with anything.
	decode(d *decoder)
}

// errMalformed is the cause of every failure to parse.
var errMalformed = errors.New("malformed message")

// writeMessage writes a message with one Write.
func writeMessage(w io.Writer, m message) error {
	e := encoder{buf: make([]byte, 5, 256)}
	m.encode(&e)
	binary.BigEndian.PutUint32(e.buf, uint32(len(e.buf)-4))
	e.buf[4] = byte(m.kind())
	_, err := w.Write(e.buf)
	return err
}

// readFrame reads a message of at most limit bytes, not yet parsed. It takes no
// byte beyond it.
func readFrame(r io.Reader, limit int) (messageType, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > uint32(limit) {
		return 0, nil, fmt.Errorf("%w: length %d, the limit is %d", errMalformed, n, limit)
	}
	body := make([]byte, n-1)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return messageType(head[4]), body, nil
}

// parse parses a body; all of it must be used.
func parse(body []byte, m message) error {
	d := decoder{rest: body}
	m.decode(&d)
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("%w of type %d", errMalformed, m.kind())
	}
	return nil
}

// readMessage reads one of the given messages.
func readMessage(r io.Reader, limit int, wanted ...message) (message, error) {
	t, body, err := readFrame(r, limit)
	if err != nil {
		return nil, err
	}
	for _, m := range wanted {
		if m.kind() == t {
			return m, parse(body, m)
		}
	}
	return nil, fmt.Errorf("%w: unexpected type %d", errMalformed, t)
}

// encoder builds a body.
type encoder struct{ buf []byte }

func (e *encoder) byte(b byte)     { e.buf = append(e.buf, b) }
func (e *encoder) uint32(n uint32) { e.buf = binary.BigEndian.AppendUint32(e.buf, n) }

func (e *encoder) bool(b bool) {
	if b {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

func (e *encoder) string(s string) {
	e.uint32(uint32(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) strings(list []string) {
	e.uint32(uint32(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

// decoder takes a body apart. After a failure it gives zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) take(n uint32) []byte {
	if d.failed || uint64(n) > uint64(len(d.rest)) {
		d.failed = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.failed = true
	}
	return b == 1
}

func (d *decoder) string() string { return string(d.take(d.uint32())) }

func (d *decoder) strings() []string {
	n := d.uint32()
	if uint64(n)*4 > uint64(len(d.rest)) { // each has a length at least
		d.failed = true
		return nil
	}
	var list []string
	for range n {
		list = append(list, d.string())
	}
	return list
}
