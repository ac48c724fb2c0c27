package fakeengine

import (
	"errors"
	"io"
	"sync"
)

// Program is what a container or an exec runs; it returns the exit code. It
// must return soon after Done is closed.
type Program func(p *Process) int

// Process is one run of a Program.
type Process struct {
	Args, Env []string
	User, Dir string
	TTY       bool
	// Binds are the container's bind mounts: paths of this machine by those in
	// the container.
	Binds map[string]string
	// Stdin ends when the client half-closes, and is empty if none was asked
	// for.
	Stdin io.Reader
	// Stdout and Stderr block while the client does not read. What nobody is
	// attached to is dropped.
	Stdout, Stderr io.Writer
	// Signals gives the names of signals, without SIG. KILL is not among
	// them: it closes Done.
	Signals <-chan string
	// Done is closed when the process is killed, or its container ends.
	Done <-chan struct{}
	// Resized gets a value, if there is room for one, at each change of size.
	Resized <-chan struct{}

	signals chan string
	done    chan struct{}
	resized chan struct{}
	stdin   *io.PipeWriter
	output  *output

	mu            sync.Mutex // for memory only
	killed        bool
	columns, rows int
}

func newProcess(out *output) *Process {
	r, w := io.Pipe()
	p := &Process{
		Stdin: r, stdin: w, output: out,
		Stdout:  outputWriter{out, 1},
		Stderr:  outputWriter{out, 2},
		signals: make(chan string, 64),
		done:    make(chan struct{}),
		resized: make(chan struct{}, 1),
	}
	p.Signals, p.Done, p.Resized = p.signals, p.done, p.resized
	return p
}

// Size is that of the terminal; zeros until one was set.
func (p *Process) Size() (columns, rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.columns, p.rows
}

func (p *Process) resize(columns, rows int) {
	p.mu.Lock()
	p.columns, p.rows = columns, rows
	p.mu.Unlock()
	select {
	case p.resized <- struct{}{}:
	default:
	}
}

func (p *Process) signal(name string) {
	if name == "KILL" {
		p.kill()
		return
	}
	select {
	case p.signals <- name:
	default:
	}
}

func (p *Process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.killed {
		p.killed = true
		close(p.done)
		_ = p.stdin.CloseWithError(io.EOF) // memory only
		p.output.cut()
	}
}

// run runs a program and gives its exit code.
func (p *Process) run(program Program) int {
	code := program(p)
	_ = p.stdin.CloseWithError(io.ErrClosedPipe)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return 137
	}
	return code
}

// output carries a program's output to whoever is attached.
type output struct {
	mu    sync.Mutex // for memory, and for the answer that begins a connection
	conns []*streamConn
	done  bool
}

var errKilled = errors.New("the process was killed")

// attach makes a connection one of those that get the output; nil if there is no
// connection, or the output has ended.
func (o *output) attach(hijack func() (*streamConn, error)) *streamConn {
	// With the lock, so that nothing is missed that is written after the answer:
	// engines attach before they answer.
	o.mu.Lock()
	defer o.mu.Unlock()
	s, err := hijack()
	if err != nil {
		return nil
	}
	if o.done {
		s.end()
		return nil
	}
	o.conns = append(o.conns, s)
	return s
}

func (o *output) write(kind byte, b []byte) (int, error) {
	o.mu.Lock()
	conns := append([]*streamConn(nil), o.conns...)
	done := o.done
	o.mu.Unlock()
	if done {
		return 0, errKilled
	}
	for _, s := range conns {
		_ = s.output(kind, b) // who left misses it
	}
	return len(b), nil
}

// cut ends all connections, also those where a write is stuck.
func (o *output) cut() {
	o.mu.Lock()
	conns := o.conns
	o.conns, o.done = nil, true
	o.mu.Unlock()
	for _, s := range conns {
		go s.end() // not under the caller's lock
	}
}

// end closes all connections after the last byte.
func (o *output) end() {
	o.mu.Lock()
	conns := o.conns
	o.conns, o.done = nil, true
	o.mu.Unlock()
	for _, s := range conns {
		s.end()
	}
}

type outputWriter struct {
	*output
	kind byte
}

func (w outputWriter) Write(b []byte) (int, error) { return w.write(w.kind, b) }
