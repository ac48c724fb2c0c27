package agentproto

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pipeEcho is echo for programs that have pipes; others exit with 8.
func pipeEcho(ctx context.Context, what Start, r *Running) (Exit, bool) {
	if r.Files == nil {
		exit, ok := echo(ctx, what, r)
		exit.Code = 8
		return exit, ok
	}
	if r.Started(42) != nil {
		return Exit{}, false
	}
	_, _ = io.Copy(io.MultiWriter(r.Files.Stdout, r.Files.Stderr), r.Files.Stdin)
	r.Files.Close()
	r.Finish(Exit{Code: 7})
	return Exit{}, false
}

// socketPair joins a client and a guest by a socket.
func socketPair(t *testing.T, program func(context.Context, Start, *Running) (Exit, bool)) *Client {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = Serve(t.Context(), NewAgentSocket(ends[1]), guest{program})
	}()
	c, err := Connect(t.Context(), NewSocket(ends[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		<-served
	})
	return c
}

// run sends size bytes through a session and checks what comes back.
func (c *Client) run(t *testing.T, size int, code uint32) {
	t.Helper()
	s, err := c.Start(t.Context(), Start{Kind: KindExec})
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	sent := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
	var stdout, stderr []byte
	var all sync.WaitGroup
	all.Go(func() {
		_, _ = s.Write(sent)
		_ = s.CloseWrite()
	})
	all.Go(func() { stdout, _ = io.ReadAll(s.Stdout()) })
	all.Go(func() { stderr, _ = io.ReadAll(s.Stderr()) })
	all.Wait()
	if !bytes.Equal(stdout, sent) || !bytes.Equal(stderr, sent) {
		t.Errorf("%d bytes sent; %d and %d came back, or others", size, len(stdout), len(stderr))
	}
	if exit, err := s.Wait(t.Context()); err != nil || exit.Code != code {
		t.Errorf("exit %+v, error %v", exit, err)
	}
}

// Pipes go by a socket, those of many sessions at once included, and none is left
// open.
func TestPipes(t *testing.T) {
	c := socketPair(t, pipeEcho)
	for _, size := range []int{0, 1, 4 << 10, 3 << 20} {
		c.run(t, size, 7)
	}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { c.run(t, i*100, 7) })
	}
	all.Wait()
	if n, large := openPipes.Load(), grownPipes.Load(); n != 0 || large != 0 {
		t.Errorf("%d pipes are open, %d of them large", n, large)
	}
}

// Where there are too many pipes, sessions have streams.
func TestTooManyPipes(t *testing.T) {
	c := socketPair(t, pipeEcho)
	before := mostPipes
	mostPipes = func() int64 { return 5 }
	defer func() { mostPipes = before }()
	first := start(t, c, Start{Kind: KindExec})
	c.run(t, 1000, 8)
	_ = first.CloseWrite()
	for _, output := range []io.Reader{first.Stdout(), first.Stderr()} {
		if _, err := io.ReadAll(output); err != nil {
			t.Error(err)
		}
	}
	if exit, err := first.Wait(t.Context()); err != nil || exit.Code != 7 {
		t.Errorf("exit %+v, error %v", exit, err)
	}
	c.run(t, 1000, 7)
}

// More batches than go with one message go with several.
func TestManyFilesAtOnce(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := func(fd int) *net.UnixConn {
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.UnixConn)
	}
	here, there := NewSocket(conn(fds[0])), NewAgentSocket(conn(fds[1]))
	defer here.Close()
	defer there.Close()
	const batches = 2*batchesAtOnce + 5
	var ours [][3]*os.File
	for i := range batches {
		mine, theirs, err := newPipes()
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, mine)
		if n := here.sendFiles(theirs); n != uint32(i) {
			t.Errorf("batch %d has the number %d", i, n)
		}
	}
	text := []byte("any words")
	if n, err := here.Write(text); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(there, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q came, error %v", got, err)
	}
	for i := range batches {
		files := there.TakeFiles(uint32(i))
		if len(files) != 3 {
			t.Fatalf("batch %d has %d files", i, len(files))
		}
		if _, err := fmt.Fprint(files[1], i); err != nil {
			t.Error(err)
		}
		closeFiles(files)
		if said, err := io.ReadAll(ours[i][1]); err != nil || string(said) != fmt.Sprint(i) {
			t.Errorf("batch %d: its output says %q, error %v", i, said, err)
		}
		closeFiles(ours[i][:])
	}
}
