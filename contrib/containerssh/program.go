package containerssh

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

const (
	// A program's end is held back for answerNaps of answerNap each after its
	// start. The original's server answers the client's request when the method
	// has returned, and tells nobody; clients take an end that overtakes the
	// answer for a refusal. Many short naps, since a machine that stands still
	// for a moment ends one of them and not all.
	answerNaps = 20
	answerNap  = 2500 * time.Microsecond

	// startTime bounds the wait for a program that neither reads nor writes.
	startTime = time.Minute
)

// program is one attempt to start a program in a session.
type program struct {
	session        *session
	stdin          io.Reader
	stdout, stderr io.Writer

	// begun is closed when the program reads, writes, or has ended.
	begun  chan struct{}
	begin  func()
	exited atomic.Bool
	// answered is closed when the original's server may answer the request.
	answered chan struct{}
}

// start asks ours for a program and returns when it runs, as the original's
// backends do: what its clients send next, such as a signal, is for a running
// program.
func (s *session) start(request func(*program) error) error {
	p := &program{session: s, begun: make(chan struct{}), answered: make(chan struct{})}
	p.begin = sync.OnceFunc(func() { close(p.begun) })
	p.stdin = input{p, s.channel.Stdin()}
	p.stdout = output{p, s.channel.Stdout()}
	p.stderr = s.channel.Stderr() // may get words before there is a program
	defer close(p.answered)

	if err := request(p); err != nil && p.exited.CompareAndSwap(false, true) {
		if words := userMessage(err); words != "" {
			_, _ = io.WriteString(p.stderr, words+"\r\n")
		}
		return Message(err)
	}
	t := time.NewTimer(startTime)
	defer t.Stop()
	select {
	case <-p.begun:
	case <-t.C:
	}
	return nil
}

// onExit is what ours calls. It returns at once.
func (p *program) onExit(status sshserver.ExitStatus) {
	if !p.exited.CompareAndSwap(false, true) {
		return
	}
	p.begin()
	p.session.exits.Go(func() { p.report(status) })
}

// report tells the client how the program has ended: all output has been
// written; the exit status comes next, then end of file, then the close.
func (p *program) report(status sshserver.ExitStatus) {
	<-p.answered
	for range answerNaps {
		time.Sleep(answerNap)
	}
	channel := p.session.channel
	if status.Signal != "" {
		channel.ExitSignal(status.Signal, status.CoreDumped, status.Message, "")
	} else {
		channel.ExitStatus(status.Code)
	}
	// Errors mean that the channel is closed, which is what is wanted.
	_ = channel.CloseWrite()
	_ = channel.Close()
}

// input is a program's standard input. The original's ends with the channel as
// it does with the client's end of file; of the two, ours ends a program's input
// with the second one only.
type input struct {
	p    *program
	next io.Reader
}

func (i input) Read(b []byte) (int, error) {
	i.p.begin()
	n, err := i.next.Read(b)
	if err == io.EOF && i.p.exited.Load() {
		err = sshserver.ErrChannelClosed
	}
	return n, err
}

// output is a program's standard output.
type output struct {
	p    *program
	next io.Writer
}

func (o output) Write(b []byte) (int, error) {
	o.p.begin()
	return o.next.Write(b)
}
