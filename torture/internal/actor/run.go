package actor

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// CodeBroken is the exit code of a program that could not do what it was
// ordered to; no order has it.
const CodeBroken = 99

// World is what a program has around it.
type World struct {
	Stdin          io.ReadCloser
	Stdout, Stderr io.WriteCloser
	// Host is the name of the container.
	Host string
	// Trap is called before anything is said: from then on Signals has the
	// signal of that name.
	Trap func(name string) error
	// Signals has the signals that the program survives.
	Signals <-chan string
	// Raw makes the terminal raw.
	Raw func() error
	// Size is that of the terminal, and Resized has something in it after a
	// change.
	Size    func() (columns, rows int, err error)
	Resized <-chan struct{}
	// Done ends what waits; nil for a process, which is killed.
	Done <-chan struct{}
	// Kill ends the program with a signal, or returns.
	Kill func(name string)
}

// Run does what the order says and returns the exit code.
func Run(o Order, w World) int {
	if err := o.run(w); err != nil {
		_, _ = fmt.Fprintf(w.Stderr, "actor: %v\n", err)
		return CodeBroken
	}
	if o.Kill != "" {
		w.Kill(o.Kill)
	}
	return o.Code
}

func (o Order) run(w World) error {
	random := rand.New(o.source(sizes))
	if o.Terminal {
		if err := w.Raw(); err != nil {
			return err
		}
	}
	if o.Trap != "" {
		if err := w.Trap(o.Trap); err != nil {
			return err
		}
	}
	address := "-"
	var listener net.Listener
	if o.Serve {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		defer listener.Close()
		address = listener.Addr().String()
	}
	if o.Ready {
		if _, err := io.WriteString(w.Stdout, readyLine(w.Host, address)); err != nil {
			return err
		}
	}
	if o.Input == InputClosed {
		if err := w.Stdin.Close(); err != nil {
			return err
		}
	}
	if listener != nil {
		if err := echoOne(listener); err != nil {
			return err
		}
	}

	// All at the same time; what comes on standard output after Out waits.
	written := make(chan error, 2)
	out, errs := rand.New(rand.NewPCG(random.Uint64(), 0)), rand.New(rand.NewPCG(random.Uint64(), 0))
	go func() { written <- o.write(w.Stderr, Stderr, o.Err, errs) }()
	outDone := make(chan struct{})
	go func() {
		err := o.write(w.Stdout, Stdout, o.Out, out)
		close(outDone)
		written <- err
	}()
	trailer, err := o.read(w, outDone, random)
	for range 2 {
		if e := <-written; err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w.Stdout, trailer); err != nil {
		return err
	}
	if o.Columns > 0 {
		if err := o.awaitSize(w); err != nil {
			return err
		}
	}
	if o.Trap != "" {
		select {
		case name := <-w.Signals:
			if _, err := io.WriteString(w.Stdout, trapLine(name)); err != nil {
				return err
			}
		case <-w.Done:
		}
	}
	if o.Forever {
		<-w.Done // a nil channel, for a process
	}
	if o.Mute {
		if err := w.Stdout.Close(); err != nil {
			return err
		}
		if err := w.Stderr.Close(); err != nil {
			return err
		}
		// Between the end of the output and that of the program.
		select {
		case <-time.After(time.Duration(random.IntN(30)) * time.Millisecond):
		case <-w.Done:
		}
	}
	return nil
}

// maxRests is how many pauses, of a millisecond or so, a stream has at most.
const maxRests = 100

// write writes one of the streams of output, in pieces.
func (o Order) write(to io.Writer, which Which, n int64, random *rand.Rand) error {
	from := o.Stream(which, n)
	chunk := o.Chunk
	if chunk <= 0 {
		chunk = 32 << 10
	}
	buf := make([]byte, chunk)
	for rests := 0; n > 0; {
		k, err := io.ReadFull(from, buf[:min(n, 1+random.Int64N(int64(chunk)))])
		if err != nil {
			return err
		}
		if _, err := to.Write(buf[:k]); err != nil {
			return err
		}
		n -= int64(k)
		if random.IntN(64) == 0 && rests < maxRests {
			rests++
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		}
	}
	return nil
}

// read takes the input, and returns the line that tells of it.
func (o Order) read(w World, outDone <-chan struct{}, random *rand.Rand) (string, error) {
	if o.Input != InputRead && o.Input != InputEchoed {
		return "", nil
	}
	var from io.Reader = w.Stdin
	if o.Part > 0 {
		from = io.LimitReader(from, o.Part)
	}
	h, n := sha256.New(), int64(0)
	slow := random.IntN(4) == 0
	buf := make([]byte, 1+random.IntN(64<<10))
	for rests := 0; ; {
		k, err := from.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if o.Input == InputEchoed && k > 0 {
			<-outDone
			if _, err := w.Stdout.Write(buf[:k]); err != nil {
				return "", err
			}
		}
		if err == io.EOF {
			return inputLine(n, h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		if slow && random.IntN(16) == 0 && rests < maxRests {
			rests++
			time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
		}
	}
}

func (o Order) awaitSize(w World) error {
	for {
		columns, rows, err := w.Size()
		if err != nil {
			return err
		}
		if columns == o.Columns && rows == o.Rows {
			_, err := io.WriteString(w.Stdout, sizeLine(columns, rows))
			return err
		}
		select {
		case <-w.Resized:
		case <-w.Done:
			return nil
		}
	}
}

// echoOne serves one connection.
func echoOne(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.Copy(c, c); err != nil {
		return err
	}
	return c.(*net.TCPConn).CloseWrite()
}
