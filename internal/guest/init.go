//go:build linux

package guest

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	ossignal "os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/agentproto"
)

// serve is the serve subcommand: it serves sessions over a socket of the server's,
// if there is one and it can be reached, or else over standard input and output,
// until these end. As a container's first process it reaps orphans; the container
// ends with it, and so do all programs.
func serve(args []string) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	socket := flags.String("socket", "", "the server's socket; without it, or if it can't be reached, standard input and output are used")
	if code, done := parse(flags, args); done {
		return code
	}
	if flags.NArg() > 0 {
		complain("serve: takes no operands")
		return exitUsage
	}
	// What somebody has left open is not for the programs, either.
	_ = unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	stream, err := takeStdio()
	if err != nil {
		complain("serve: %v", err)
		return exitFailure
	}
	line := &lifeline{ReadWriteCloser: stream}
	var link io.ReadWriteCloser = line
	if conn := dialServer(*socket); conn != nil {
		_ = stream.Close()
		line.ReadWriteCloser = conn
		link = struct {
			*lifeline
			agentproto.FileReader
		}{line, conn}
	}
	if os.Getpid() != 1 {
		// Beside another first process: orphans of sessions come here.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ctx, stop := ossignal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	spareThreads()
	processes := newProcesses()
	defer processes.close()
	if err := agentproto.Serve(ctx, link, &host{processes: processes, line: line, memory: memory{databases: imageUsers}}); err != nil && ctx.Err() == nil && !line.ended() {
		complain("serve: %v", err)
		return exitFailure
	}
	return 0
}

// spareThreads starts threads ahead of need. Where programs have taken all the
// processes that a container may have, the Go runtime could start none, and would
// end the agent over that, and with it the container.
func spareThreads() {
	const spare = 6
	var started sync.WaitGroup
	release := make(chan struct{})
	for range spare {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // it is kept, idle
			started.Done()
			<-release
		}()
	}
	started.Wait()
	close(release)
}

// dialServer connects to the server's socket; nil if that can't be.
func dialServer(path string) *agentproto.AgentSocket {
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil // as where the engine is on another machine
	}
	return agentproto.NewAgentSocket(conn)
}

// host is what the server's requests are answered with.
type host struct {
	processes *processes
	line      *lifeline
	memory    memory

	mu       sync.Mutex // for memory only
	sessions int
	rest     *time.Timer // set once there was a session
}

// restAfter is how long nothing must have run for the agent to give back the
// memory that its sessions took. There is one agent for each container, and most
// of them idle most of the time.
const restAfter = time.Second

// giveBack gives back what is not used. Pools of buffers let go of theirs at the
// second collection (sync.Pool).
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// enter counts a session until leave is called.
func (h *host) enter() (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions++
	if h.rest != nil {
		h.rest.Stop()
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sessions--; h.sessions > 0 {
			return
		}
		if h.rest == nil {
			h.rest = time.AfterFunc(restAfter, giveBack)
		} else {
			h.rest.Reset(restAfter)
		}
	}
}

// stdio is standard input and output as one stream.
type stdio struct{ in, out *os.File }

// takeStdio makes a stream of standard input and output and puts /dev/null into
// their place, so that no program ever gets hold of it.
func takeStdio() (*stdio, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/null", Err: err}
	}
	defer unix.Close(null)
	take := func(fd int, name string) (*os.File, error) {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err == nil {
			err = unix.Dup3(null, fd, 0)
		}
		if err == nil {
			// So that a Close ends a Read under way.
			err = unix.SetNonblock(own, true)
		}
		if err != nil {
			return nil, os.NewSyscallError(name, err)
		}
		return os.NewFile(uintptr(own), name), nil
	}
	in, err := take(0, "standard input")
	if err != nil {
		return nil, err
	}
	out, err := take(1, "standard output")
	if err != nil {
		return nil, err
	}
	return &stdio{in: in, out: out}, nil
}

func (s *stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s *stdio) Close() error                { return errors.Join(s.in.Close(), s.out.Close()) }

// lifeline is the stream to the server.
type lifeline struct {
	io.ReadWriteCloser
	once sync.Once
	gone atomic.Bool // the server has ended it
}

func (l *lifeline) Read(b []byte) (int, error) {
	n, err := l.ReadWriteCloser.Read(b)
	l.see(err)
	return n, err
}

func (l *lifeline) Write(b []byte) (int, error) {
	n, err := l.ReadWriteCloser.Write(b)
	l.see(err)
	return n, err
}

// see notes the stream's end, which a write may find first.
func (l *lifeline) see(err error) {
	if err == io.EOF || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		l.gone.Store(true)
	}
}

// ended says whether the server has ended the stream, which is no failure.
func (l *lifeline) ended() bool { return l.gone.Load() }

// lastResort is how long programs may take to end when the server has gone, which
// takes six seconds at most if nothing is wrong with the machine. What a session
// hangs in then, a file system, say, must not keep the container.
const lastResort = 10 * time.Second

func (l *lifeline) Close() (err error) {
	l.once.Do(func() {
		time.AfterFunc(lastResort, func() { os.Exit(exitFailure) })
		err = l.ReadWriteCloser.Close()
	})
	return err
}

// grace is how long a program may take to end after each of HUP and TERM. Where
// the server has gone nobody waits for what it has to say, and the container is
// to be gone soon.
func (h *host) grace() time.Duration {
	if h.line.ended() {
		return 500 * time.Millisecond
	}
	return 2 * time.Second
}
