package backend

import (
	"io"
	"time"
)

// noticeDelay is how long a client without a terminal is spared the news: most
// waits are over by then, and standard error belongs to the program.
const noticeDelay = 3 * time.Second

// notice shows a waiting user what is going on: at once and in place on a
// terminal, and after a while as one line on standard error without one.
type notice struct {
	out      io.Writer
	terminal bool
	steps    chan string // capacity 1: only the newest step counts
	stopped  chan struct{}
	done     chan struct{} // closed when nothing more is written
}

// newNotice starts a notice; stop must be called before the program may write.
func newNotice(out io.Writer, terminal bool, delay time.Duration) *notice {
	n := &notice{
		out:      out,
		terminal: terminal,
		steps:    make(chan string, 1),
		stopped:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	go n.run(delay)
	return n
}

// post shows a step. It never blocks: for a client that reads slowly a newer
// step takes the place of an older one.
func (n *notice) post(step string) {
	for {
		select {
		case n.steps <- step:
			return
		default:
		}
		select {
		case <-n.steps:
		default:
		}
	}
}

// stop ends the notice, and erases its line on a terminal. When it returns
// nothing more is written.
func (n *notice) stop() {
	close(n.stopped)
	<-n.done
}

func (n *notice) run(delay time.Duration) {
	defer close(n.done)
	var quiet <-chan time.Time
	if !n.terminal {
		t := time.NewTimer(delay)
		defer t.Stop()
		quiet = t.C
	}
	var step, shown string
	for {
		select {
		case <-n.stopped:
			if n.terminal && shown != "" {
				_, _ = io.WriteString(n.out, "\r\x1b[K")
			}
			return
		case step = <-n.steps:
		case <-quiet:
			quiet = nil
		}
		switch {
		case quiet != nil || step == shown:
			continue
		case n.terminal:
			// Rewritten in place: carriage return, text, erase to the end.
			_, _ = io.WriteString(n.out, "\rberth: "+step+"\x1b[K")
		case shown == "":
			// One line is enough for what may end up in somebody's log.
			_, _ = io.WriteString(n.out, "berth: "+step+"\n")
		}
		shown = step
	}
}
