package agentproto

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// FileReader is the agent's stream where that brings open files along with its
// bytes, as a Socket does.
type FileReader interface {
	// TakeFiles takes a batch of files that has come, which the caller closes:
	// they are numbered as they were sent, from 0 on. nil if there is none, or
	// somebody has it already.
	TakeFiles(batch uint32) []*os.File
}

// Files are a program's standard streams at the agent's end.
type Files struct {
	Stdin, Stdout, Stderr *os.File

	// endInput lets the input end when the server has closed it, too: until then
	// the other end of Stdin is open here, so that a server that dies does not
	// end it.
	endInput func()
}

func newFiles(files []*os.File) *Files {
	if len(files) != 3 {
		return nil
	}
	return &Files{Stdin: files[0], Stdout: files[1], Stderr: files[2], endInput: holdInput(files[0])}
}

// Close closes the files. To be called when the program has them: ends are not
// seen before.
func (f *Files) Close() {
	for _, file := range []*os.File{f.Stdin, f.Stdout, f.Stderr} {
		_ = file.Close()
	}
}

// fileWriter is the server's stream where that takes open files along.
type fileWriter interface {
	// sendFiles sends open files, by their descriptors, no later than the next
	// byte that is written, and closes them.
	sendFiles(files [3]int) (batch uint32)
}

// input is a program's standard input, as a session has it: a stream, or a pipe.
type input interface {
	io.Writer
	CloseWrite() error
	abandon()
}

// output is one of a program's outputs, likewise.
type output interface {
	io.Reader
	// abandon is for what nobody will read: the program is told.
	abandon()
	// giveUp ends the session's output with the session.
	giveUp()
}

// streamInput is a program's input at the other end of a stream.
type streamInput struct{ *stream }

func (i streamInput) abandon() { i.stream.abandon(codeClosed) }

// streamOutput is a program's output at the other end of a stream.
type streamOutput struct{ *stream }

func (o streamOutput) abandon() { o.stream.abandon(codeClosed) }
func (o streamOutput) giveUp()  { o.abandon() }

func (o streamOutput) Read(b []byte) (int, error) {
	n, err := o.stream.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = lost(err)
	}
	return n, err
}

// pipeInput is the pipe that is a program's standard input. What is written goes
// past the agent, which has the pipe open, too: only it ends the input, so that
// what is cut short is not taken for the whole.
type pipeInput struct {
	pipe
	end  func() error // tells the agent
	once sync.Once
}

func (i *pipeInput) Write(b []byte) (int, error) {
	n, err := i.file.Write(b)
	i.carried(n)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, fs.ErrClosed) {
		err = io.ErrClosedPipe
	}
	return n, err
}

func (i *pipeInput) CloseWrite() (err error) {
	i.once.Do(func() {
		i.abandon()
		err = i.end()
	})
	return err
}

// pipeOutput is the pipe that is one of a program's outputs.
type pipeOutput struct{ pipe }

func (o *pipeOutput) Read(b []byte) (int, error) {
	n, err := o.file.Read(b)
	o.carried(n)
	if err != nil {
		o.abandon()
		if err != io.EOF {
			err = lost(err)
		}
	}
	return n, err
}

// hangup is how long the output of a session that was given up is read on: the agent
// takes four seconds to end a program, and what that has to say of its end, a trap's
// echo, must not kill it before the rest of its cleaning up.
const hangup = 10 * time.Second

func (o *pipeOutput) giveUp() {
	if o.file.SetReadDeadline(time.Now().Add(hangup)) == nil { // not closed yet
		time.AfterFunc(hangup, o.abandon) // whoever reads it has stopped by then
	}
}

// pipe is the server's end of a pipe.
type pipe struct {
	file  *os.File
	total int // bytes carried, up to bulk; of whoever reads or writes
	// grown says that the pipe is one of the large ones.
	grown  atomic.Bool
	closed atomic.Bool
}

const (
	// bulk is how many bytes make a pipe one that is worth to be large.
	bulk = 1 << 20
	// largePipe is its size then: fewer turns between program and server.
	largePipe = 256 << 10
	// largePipes is how many there may be at a time. Linux counts the pages of all
	// pipes that a user has made, and gives tiny ones to who has 64 MiB of them
	// (pipe(7), pipe-user-pages-soft): where users are not told apart in
	// containers, root in them is the same as root outside.
	largePipes = 32
)

var (
	grownPipes atomic.Int32
	openPipes  atomic.Int64
	// mostPipes is how many may be open: clients must find files to open, too.
	mostPipes = sync.OnceValue(func() int64 { return openFiles() / 2 })
)

// carried counts bytes, and makes the pipe larger once.
func (p *pipe) carried(n int) {
	if p.total >= bulk {
		return
	}
	if p.total += n; p.total < bulk {
		return
	}
	p.grown.Store(true)
	if grownPipes.Add(1) > largePipes || !resizePipe(p.file, largePipe) {
		p.shrink()
	}
}

// shrink gives the place of a large pipe back, once.
func (p *pipe) shrink() {
	if p.grown.CompareAndSwap(true, false) {
		grownPipes.Add(-1)
	}
}

func (p *pipe) abandon() {
	if !p.closed.Swap(true) {
		_ = p.file.Close()
		openPipes.Add(-1)
	}
	p.shrink()
}

// lastOutput is how long the rest of a program's output may take when the word on
// its end will not come any more: whoever has the pipe may keep it open for ever.
const lastOutput = time.Second

// pipes gives a session pipes, whose other ends the agent gets; false if there are
// none to be had. The server makes them, so that nothing done to the other ends
// changes how it waits for its own.
func (c *Client) pipes(ctx context.Context, s *Session, what *Start) bool {
	w, ok := c.stream.(fileWriter)
	if !ok || what.Terminal != nil {
		return false
	}
	// Where there are too many files, streams need none.
	const each = 3
	if openPipes.Add(each) > mostPipes() {
		openPipes.Add(-each)
		return false
	}
	ours, theirs, err := newPipes()
	if err != nil {
		openPipes.Add(-each)
		return false
	}
	what.files = w.sendFiles(theirs) + 1
	end := func() error { return s.send(context.WithoutCancel(ctx), &inputEnd{}) }
	s.stdin = &pipeInput{pipe: pipe{file: ours[0]}, end: end}
	s.stdout, s.stderr = &pipeOutput{pipe{file: ours[1]}}, &pipeOutput{pipe{file: ours[2]}}
	return true
}
