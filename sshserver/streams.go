package sshserver

import (
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

var (
	// ErrChannelClosed is what a program's streams return when their channel
	// has closed: the client left, the connection broke, or the session ended.
	ErrChannelClosed = errors.New("the channel is closed")

	// ErrOutputClosed is what a write to standard output returns when the
	// client has said that nobody reads it any more, as in `ssh host yes |
	// head -1`. It is the SSH form of EPIPE: the program should get to know,
	// since the channel stays open until it ends.
	ErrOutputClosed = errors.New("the client no longer reads standard output")
)

// input is the client's side of standard input.
type input struct {
	channel ssh.Channel
	inflow  *inflow // of the channel
	net     *transport
	// err sticks. Used by the one reader only.
	err error
}

// Read gives the client's bytes. The library ends them with io.EOF both when
// the client has sent an end of file and when the channel is gone, and handlers
// must not take half an upload for a whole one.
//
// When the connection breaks, the transport knows before the library ends the
// input. When the client closes the channel, the library has closed its own side
// before, and sends nothing on it any more: that is asked with a request that
// wants no answer and that clients ignore (RFC 4254 section 5.4).
func (i *input) Read(p []byte) (int, error) {
	if i.err != nil {
		return 0, i.err
	}
	n, err := i.inflow.Read(p)
	if err == io.EOF {
		if _, closed := i.channel.SendRequest(requestKeepAlive, false, nil); closed != nil || i.net.failed.Load() {
			err = ErrChannelClosed
		}
	}
	i.err = err
	return n, err
}

// output is one of a program's output streams.
type output struct {
	program *program
	writer  io.Writer
	// unwanted is set when the client no longer reads this stream; nil if
	// it can't say so.
	unwanted *atomic.Bool
	// turn holds a value while somebody writes. The library's writers are for
	// one goroutine at a time, and handlers may have several (a program, and
	// messages of their own).
	turn chan struct{}
	// ended is guarded by turn.
	ended bool
}

func newOutput(p *program, w io.Writer) *output {
	return &output{program: p, writer: w, turn: make(chan struct{}, 1)}
}

// Write sends bytes to the client. It answers the request that started the
// program before the first byte, since clients take no output before the
// answer. It blocks while the client's window is closed.
func (o *output) Write(p []byte) (int, error) {
	if !o.program.answer(true) {
		return 0, ErrChannelClosed
	}
	return o.put(p)
}

// put is Write without the answer.
func (o *output) put(p []byte) (int, error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if o.ended {
		return 0, ErrChannelClosed
	}
	if o.unwanted != nil && o.unwanted.Load() {
		return 0, ErrOutputClosed
	}
	n, err := o.writer.Write(p)
	if err != nil {
		// The library says io.EOF, which would look like a success to many.
		err = ErrChannelClosed
	}
	return n, err
}

// end waits for the write that runs and lets no other follow.
func (o *output) end() {
	o.turn <- struct{}{}
	o.ended = true
	<-o.turn
}
