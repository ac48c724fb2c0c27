package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/torture/internal/actor"
)

// patience bounds a session: what takes longer is stuck. Everything that a plan
// may hold takes seconds on a slow machine.
const patience = 90 * time.Second

// outcome is what has become of a session.
type outcome struct {
	in, out int64 // bytes
	// wrongBytes are those that are not what they should be, and those that are
	// missing. wrongExit is another end than was ordered.
	wrongBytes int64
	wrongExit  bool
	// why tells of what is wrong.
	why []string
}

func (o *outcome) fail(format string, args ...any) {
	o.wrongExit = true
	o.why = append(o.why, fmt.Sprintf(format, args...))
}

// take adds a stream to the outcome.
func (o *outcome) take(name string, c *check) {
	o.out += c.n
	o.wrongBytes += c.wrong
	if c.wrong > 0 {
		o.why = append(o.why, name+": "+c.first)
	}
}

// hooks are what a session tells its connection of.
type hooks struct {
	// ready is called with the name of the container.
	ready func(host string)
	// over is closed when all sessions but the stalled ones have ended.
	over <-chan struct{}
}

// session runs one session over a connection. broken says whether the
// connection may have been cut, or the container may have died: then what has
// come must be right as far as it goes, and an end that is not the ordered one
// must be none that looks like a success.
func (c cell) session(ctx context.Context, client *ssh.Client, p sessionPlan, broken func() bool, h hooks) (o outcome) {
	switch p.kind {
	case kindOdd:
		return odd(client, p)
	case kindSFTP:
		return transfer(client, p)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := rand.New(rand.NewPCG(p.seed, 0))
	// A session that is stuck may not even be closed.
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	session, err := newSession(client)
	if err != nil {
		if !broken() {
			o.fail("no session: %v", err)
		}
		return o
	}
	defer func() { _ = session.Close() }()
	for i := range p.env {
		_ = session.Setenv(fmt.Sprintf("TORTURE_%d", i), strings.Repeat("x", r.IntN(1000))) // as the server likes
	}
	if p.order.Terminal {
		if err := session.RequestPty("xterm", p.resizes[0][1], p.resizes[0][0], ssh.TerminalModes{}); err != nil {
			if !broken() {
				o.fail("no terminal: %v", err)
			}
			return o
		}
	}
	stdin, _ := session.StdinPipe() // these fail only when they are used wrongly
	stdout, _ := session.StdoutPipe()
	stderr, _ := session.StderrPipe()
	if err := session.Start(p.order.String()); err != nil {
		if !broken() {
			o.fail("no program: %v", err)
		}
		return o
	}
	if p.kind == kindStalled {
		select {
		case <-h.over:
		case <-ctx.Done():
		}
		return o
	}

	// Standard error.
	var errText bytes.Buffer
	var errRead error
	errDone := make(chan struct{})
	go func() {
		defer close(errDone)
		errRead = p.pour(&errText, stderr, rand.New(rand.NewPCG(p.seed, 1)))
	}()

	// The program's first line comes before everything that it has to wait for.
	lines := bufio.NewReader(stdout)
	host, address := "", ""
	if p.order.Ready {
		line, err := lines.ReadString('\n')
		if n, _ := fmt.Sscanf(line, "ready %s %s\n", &host, &address); n != 2 || err != nil {
			<-errDone
			if !broken() {
				o.fail("not ready: %q, %v, %q", line, err, shortened(errText.String()))
			}
			return o
		}
		h.ready(host)
	}

	// Standard input.
	inDone := make(chan int64, 1)
	go func() { inDone <- p.feed(stdin, rand.New(rand.NewPCG(p.seed, 2))) }()
	for i, size := range p.resizes {
		if i == 0 {
			continue
		}
		if err := session.WindowChange(size[1], size[0]); err != nil && !broken() {
			o.fail("no resize: %v", err)
		}
		p.rest(r)
	}
	if p.kind == kindForward {
		if err := echoed(client, address, p); err != nil {
			o.fail("forward: %v", err)
		}
	}

	// Standard output.
	received := p.sent
	if p.order.Part > 0 {
		received = p.order.Part
	}
	out := &check{want: p.order.Output(received)}
	var from io.Reader = lines
	slowly := rand.New(rand.NewPCG(p.seed, 3))
	switch {
	case p.kind == kindLeave:
		from = io.LimitReader(lines, p.leaveAt)
	case p.order.Forever: // what is written before the signal comes is known only if it is all
		_ = p.pour(out, io.LimitReader(lines, p.order.Out), slowly)
	}
	if p.signal != "" {
		if err := session.Signal(ssh.Signal(p.signal)); err != nil && !broken() {
			o.fail("no signal: %v", err)
		}
	}
	outRead := p.pour(out, from, slowly)
	if p.kind == kindLeave {
		_ = session.Close()
	}
	err = session.Wait()
	<-errDone
	if ctx.Err() != nil && p.kind != kindLeave {
		o.fail("stuck for %v", patience)
	}
	_ = session.Close() // ends what may still be written
	o.in = <-inDone

	lost := broken()
	ordered := c.expects(p, err)
	if !ordered && !lost && p.kind != kindLeave {
		o.fail("%s, not as ordered: %s; %q", ended(err), p.order, shortened(errText.String()))
	}
	if !ordered && lost && err == nil {
		o.fail("a success, but it was not one: %s", p.order)
	}
	// On a cut connection the library's Read fails, since it has a window to open,
	// although more has come before the exit and could still be read.
	gaveUp := lost && (outRead != io.EOF || errRead != io.EOF)
	whole := ordered && p.kind != kindLeave && !gaveUp
	if whole {
		out.end()
	}
	o.take("standard output", out)
	if !p.order.Terminal {
		errs := &check{want: p.order.Stream(actor.Stderr, p.order.Err)}
		errs.withWords(errText.Bytes(), !whole && lost)
		if whole {
			errs.end()
		}
		o.take("standard error", errs)
	}
	return o
}

// newSession is NewSession, which the library lets wait for ever if the connection
// breaks off just as it begins.
func newSession(client *ssh.Client) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	open, gone := make(chan opened, 1), make(chan error, 1)
	go func() { gone <- client.Wait() }()
	go func() {
		session, err := client.NewSession()
		open <- opened{session, err}
	}()
	select {
	case o := <-open:
		return o.session, o.err
	case err := <-gone:
		return nil, err
	}
}

// pour reads a stream as the plan has it.
func (p sessionPlan) pour(to io.Writer, from io.Reader, r *rand.Rand) error {
	buf := make([]byte, p.reads)
	small := 0
	for {
		n, err := from.Read(buf[:1+r.IntN(len(buf))])
		_, _ = to.Write(buf[:n]) // a check or memory
		if err != nil {
			return err
		}
		if small++; p.pause && small < 60 {
			p.rest(r)
		}
	}
}

// feed writes the input, and returns how much was taken.
func (p sessionPlan) feed(to io.WriteCloser, r *rand.Rand) (n int64) {
	from := p.order.Stream(actor.Stdin, p.sent)
	buf := make([]byte, p.writes)
	for small := 0; n < p.sent; small++ {
		k, err := io.ReadFull(from, buf[:min(p.sent-n, int64(1+r.IntN(len(buf))))])
		if err != nil {
			return n
		}
		k, err = to.Write(buf[:k])
		n += int64(k)
		if err != nil {
			return n // it may end before it has read all
		}
		if p.pause && small < 60 {
			p.rest(r)
		}
	}
	if p.halfClose {
		_ = to.Close()
	}
	return n
}

// rest makes a pause, or none.
func (p sessionPlan) rest(r *rand.Rand) {
	if r.IntN(4) == 0 {
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
	}
}

// expects says whether a session has ended as was ordered. Engines report a
// program that was killed with 128 and the number of the signal; only of one
// that this session has sent is it known what it was.
func (c cell) expects(p sessionPlan, err error) bool {
	code, signal := p.order.Code, ""
	if p.order.Kill != "" {
		signal = p.order.Kill
	}
	if p.order.Forever {
		signal = p.signal
	}
	if signal != "" && c.way != "inject" && p.signal != signal {
		code, signal = 128+signalNumbers[signal], ""
	}
	gotCode, gotSignal := 0, ""
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		gotCode, gotSignal = exit.ExitStatus(), exit.Signal()
	case err != nil:
		return false
	}
	return gotSignal == signal && (signal != "" || gotCode == code)
}

var signalNumbers = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15}

// ended describes an end.
func ended(err error) string {
	if err == nil {
		return "exit code 0"
	}
	return err.Error()
}

func shortened(text string) string {
	if len(text) > 300 {
		return text[len(text)-300:]
	}
	return text
}

// odd does what is refused, and leaves without having asked for anything.
func odd(client *ssh.Client, p sessionPlan) (o outcome) {
	r := rand.New(rand.NewPCG(p.seed, 0))
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		o.fail("no session: %v", err)
		return o
	}
	done := make(chan struct{})
	go func() { ssh.DiscardRequests(requests); close(done) }()
	for range r.IntN(4) {
		junk := make([]byte, r.IntN(64))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		name := []string{"subsystem", "torture@example.com", "window-change", "signal", "env", "pty-req", "x11-req", "break"}[r.IntN(8)]
		answered, err := channel.SendRequest(name, r.IntN(2) == 0, junk)
		if answered || err != nil {
			o.fail("%s with junk: %v, %v", name, answered, err)
		}
	}
	if _, _, err := client.OpenChannel("torture@example.com", []byte("junk")); err == nil {
		o.fail("a channel of an unknown type was opened")
	}
	if _, _, err := client.OpenChannel("direct-tcpip", []byte("junk")); err == nil {
		o.fail("a forward to nowhere was opened")
	}
	if r.IntN(2) == 0 {
		_ = channel.CloseWrite()
	}
	_ = channel.Close()
	<-done
	return o
}

// echoed sends bytes through a forward, and wants them back.
func echoed(client *ssh.Client, address string, p sessionPlan) error {
	conn, err := client.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		_ = p.pourAll(conn, p.order.Stream(actor.Forwarded, p.sent))
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	back := &check{want: p.order.Stream(actor.Forwarded, p.sent)}
	if err := p.pour(back, conn, rand.New(rand.NewPCG(p.seed, 5))); err != io.EOF && !errors.Is(err, net.ErrClosed) {
		return err
	}
	back.end()
	if back.wrong > 0 {
		return fmt.Errorf("%d wrong bytes: %s", back.wrong, back.first)
	}
	return nil
}

// pourAll writes a stream in the plan's pieces.
func (p sessionPlan) pourAll(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, from, make([]byte, p.writes))
	return err
}

// transfer takes a file there and back with SFTP.
func transfer(client *ssh.Client, p sessionPlan) (o outcome) {
	files, err := sftp.NewClient(client)
	if err != nil {
		o.fail("sftp: %v", err)
		return o
	}
	var closing sync.Once
	end := func() { closing.Do(func() { _ = files.Close() }) }
	defer end()
	stop := time.AfterFunc(patience, end)
	defer stop.Stop()
	name := fmt.Sprintf("/tmp/%x", p.order.Seed)
	err = func() error {
		f, err := files.Create(name)
		if err != nil {
			return err
		}
		_, err = f.ReadFrom(p.order.Stream(actor.Stdin, p.sent))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if f, err = files.Open(name); err != nil {
			return err
		}
		back := &check{want: p.order.Stream(actor.Stdin, p.sent)}
		_, err = f.WriteTo(back)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		back.end()
		o.take("file", back)
		o.in = p.sent
		return files.Remove(name)
	}()
	if err != nil {
		o.fail("sftp: %v", err)
	}
	return o
}
