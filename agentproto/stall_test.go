package agentproto

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is an agent's end of a stream, who at some time takes nothing any more, nor
// closes it.
type deaf struct {
	net.Conn
	now, ended chan struct{}
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	select {
	case <-d.now:
		<-d.ended
		return 0, io.EOF
	default:
		return n, err
	}
}

func (d *deaf) Close() error { return nil }

func (d *deaf) end() {
	close(d.ended)
	_ = d.Conn.Close()
}

// A container that takes nothing any more and goes on sending, so that nobody
// pings it, holds nothing up for longer than its context, and is given up.
func TestStalledAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		agent := &deaf{Conn: there, now: make(chan struct{}), ended: make(chan struct{})}
		var work sync.WaitGroup
		defer work.Wait()
		defer agent.end()
		work.Go(func() { _ = Serve(t.Context(), agent, guest{echo}) })
		c, err := Connect(t.Context(), here)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.Start(t.Context(), Start{Kind: KindExec})
		if err != nil {
			t.Fatal(err)
		}
		other, err := c.Start(t.Context(), Start{Kind: KindExec})
		if err != nil {
			t.Fatal(err)
		}
		close(agent.now)
		work.Go(func() {
			ping := []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
			for n := uint32(1); ; n++ {
				binary.BigEndian.PutUint32(ping[8:], n)
				if _, err := there.Write(ping); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		})
		// Until nothing goes out any more.
		work.Go(func() { _, _ = s.Write(make([]byte, 1<<20)) })
		work.Go(func() { _, _ = other.Write(make([]byte, 1<<20)) })
		for range 100 {
			work.Go(func() { _ = s.Signal(t.Context(), "TERM") })
			synctest.Wait()
			_, _ = c.mux.OpenStream(cancelled(t))
		}
		ended := make(chan struct{})
		work.Go(func() {
			defer close(ended)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err1 := c.Start(ctx, Start{Kind: KindExec})
			_, err2 := c.Dial(ctx, "", Address{Network: "tcp"})
			_, err3 := c.Listen(ctx, "", Address{Network: "tcp"})
			if err1 == nil || err2 == nil || err3 == nil {
				t.Errorf("errors %v, %v, %v", err1, err2, err3)
			}
			if err := s.Signal(ctx, "TERM"); err == nil {
				t.Error("a signal has been sent")
			}
			work.Go(func() { _ = other.CloseWrite() })
			_ = s.Close()
			_ = other.Close()
		})
		select {
		case <-ended:
		case <-c.Done():
			t.Error("what was under way has ended only with the whole stream")
		}
		select {
		case <-c.Done():
		case <-time.After(2 * stallTimeout):
			t.Error("the stream to a stalled agent is not given up")
		}
		if _, err := s.Wait(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("error %v", err)
		}
	})
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
