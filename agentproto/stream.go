package agentproto

import (
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// stream is one of the server's. The agent at its other end may be alive and yet
// take nothing any more; what is under way on a stream ends when the server
// gives it up, all the same.
type stream struct {
	*yamux.Stream
	once sync.Once
	gone chan struct{} // closed when it is given up
}

func newStream(s *yamux.Stream) *stream { return &stream{Stream: s, gone: make(chan struct{})} }

// Write is that of a pipe: io.ErrClosedPipe where the other end reads no more.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	if err == nil {
		return n, nil
	}
	select {
	case <-s.gone:
		return n, io.ErrClosedPipe
	default:
		return n, writeError(err)
	}
}

// CloseWrite half-closes, when its turn has come.
func (s *stream) CloseWrite() error {
	sent := make(chan error, 1)
	go func() { sent <- s.Stream.CloseWrite() }()
	select {
	case err := <-sent:
		return err
	case <-s.gone:
		return io.ErrClosedPipe
	}
}

// resetPatience is how long a reset is waited for, so that what is asked for
// next comes after it. An agent that takes nothing gets it when it can.
const resetPatience = time.Second

// abandon closes both directions at once.
func (s *stream) abandon(code uint32) {
	s.once.Do(func() {
		close(s.gone)
		// A Read or a Write that waits for its turn to send is not ended by a reset.
		_ = s.SetDeadline(time.Unix(1, 0))
		sent := make(chan struct{})
		go func() {
			_ = s.ResetWithError(code)
			close(sent)
		}()
		patience := time.NewTimer(resetPatience)
		defer patience.Stop()
		select {
		case <-sent:
		case <-patience.C:
		}
	})
}
