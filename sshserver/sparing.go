package sshserver

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// A client's doings are logged, but no client can fill a disk with them: log
// records beyond a rate are left out, and counted in the next one. Those for
// debugging are not: whoever turns them on wants all of them.
const (
	// strangerRecords and strangerBurst are for all who have not logged in
	// together: 20 a second are some 400 MB a day.
	strangerRecords, strangerBurst = 20, 1000
	// connectionRecords and connectionBurst are for one connection.
	connectionRecords, connectionBurst = 1, 500
)

// sparing is a log handler with a bounded rate.
type sparing struct {
	slog.Handler
	gate *gate
}

// gate is shared by the handlers that come of one another.
type gate struct {
	limiter *rate.Limiter
	leftOut atomic.Uint64
}

func newSparing(h slog.Handler, perSecond rate.Limit, burst int) *sparing {
	return &sparing{h, &gate{limiter: rate.NewLimiter(perSecond, burst)}}
}

func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !s.gate.limiter.Allow() {
		s.gate.leftOut.Add(1)
		return nil
	}
	if n := s.gate.leftOut.Swap(0); n > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("omitted", n))
	}
	return s.Handler.Handle(ctx, r)
}

func (s *sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sparing{s.Handler.WithAttrs(attrs), s.gate}
}

func (s *sparing) WithGroup(name string) slog.Handler {
	return &sparing{s.Handler.WithGroup(name), s.gate}
}
