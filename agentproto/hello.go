package agentproto

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// version is the only one so far.
const version = 1

// magic begins both hellos; then come the lowest and the highest version
// (uint16 each) that the sender speaks. No text begins with it.
var magic = [6]byte{0x00, 'B', 'E', 'R', 'T', 'H'}

type hello struct{ lowest, highest uint16 }

var ourHello = hello{version, version}

func writeHello(w io.Writer, h hello) error {
	b := binary.BigEndian.AppendUint16(magic[:], h.lowest)
	_, err := w.Write(binary.BigEndian.AppendUint16(b, h.highest))
	return err
}

// NotAgentError says that the other end is no guest agent.
type NotAgentError struct {
	// Said is the beginning of what it said instead, as an engine's word on a
	// program that could not be started.
	Said string
}

func (e *NotAgentError) Error() string {
	if e.Said == "" {
		return "the guest agent has ended without a word"
	}
	return fmt.Sprintf("this is no guest agent; it says %q", e.Said)
}

// maxSaid bounds NotAgentError.Said.
const maxSaid = 4096

// readHello reads the other end's hello. What is none is read to its end, or as
// far as an error message goes.
func readHello(r io.Reader) (hello, error) {
	var b [len(magic) + 4]byte
	n, err := io.ReadFull(r, b[:])
	if err == nil && bytes.Equal(b[:len(magic)], magic[:]) {
		rest := b[len(magic):]
		return hello{binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])}, nil
	}
	said := b[:n]
	if err == nil {
		more, _ := io.ReadAll(io.LimitReader(r, maxSaid))
		said = append(said, more...)
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return hello{}, err
	}
	return hello{}, &NotAgentError{Said: string(said)}
}

// VersionError says that both ends have no version in common.
type VersionError struct{ Lowest, Highest uint16 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the other end speaks versions %d to %d of the agent protocol, this one %d to %d",
		e.Lowest, e.Highest, ourHello.lowest, ourHello.highest)
}

// agree says whether there is a common version.
func (h hello) agree() error {
	if h.lowest > ourHello.highest || h.highest < ourHello.lowest {
		return &VersionError{h.lowest, h.highest}
	}
	return nil
}

// greet says hello to the agent and hears its own. When ctx ends before that,
// conn is closed.
func greet(ctx context.Context, conn io.ReadWriteCloser) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := writeHello(conn, ourHello)
	var theirs hello
	if err == nil {
		theirs, err = readHello(conn)
	}
	if !stop() {
		return context.Cause(ctx)
	}
	if err == nil {
		err = theirs.agree()
	}
	if err != nil {
		return fmt.Errorf("greet the guest agent: %w", err)
	}
	return nil
}

// answer waits for the server's hello and says the agent's, also where they
// don't agree, so that the server knows why.
func answer(conn io.ReadWriter) error {
	theirs, err := readHello(conn)
	if err == nil {
		err = writeHello(conn, ourHello)
	}
	if err == nil {
		err = theirs.agree()
	}
	if err != nil {
		return fmt.Errorf("greet the server: %w", err)
	}
	return nil
}
