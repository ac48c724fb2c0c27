package docker

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

const (
	// poolMakers is how many containers are made at the same time: as many as an
	// engine on a small machine makes without getting slower.
	poolMakers = 2
	// poolQuiet is how long after a login the pool waits before it makes the next
	// container, so that who has just logged in has the machine to himself.
	poolQuiet = 50 * time.Millisecond
	// poolShrink is how often a pool that has grown gives one place up.
	poolShrink = time.Minute
	// poolMaxRetry is the longest pause between attempts to make a container where
	// the engine has said no for good, as when there is no image; poolRetry is the
	// longest where it has a problem, or is not there: so long after its return
	// the pool may be empty.
	poolMaxRetry = 30 * time.Second
	poolRetry    = 2 * time.Second
)

// pool keeps containers ready. Its owner closes it.
type pool struct {
	p   *provider // of no connection: it makes containers without a login
	c   PoolConfig
	log *slog.Logger

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{} // capacity 1: there may be something to do

	mu     sync.Mutex // for memory only
	ready  []*pooled  // the oldest first
	making int
	target int       // between Min and Max
	shrink time.Time // when target goes down next
	cold   int       // logins that have found nothing, and wait for an engine
	quiet  time.Time // nothing is made before that, since somebody has logged in
	broken time.Time // likewise, since it has failed
	fault  bool      // the last attempt has failed, and the log has it
	stats  PoolStats
}

// PoolStats is the state of a pool.
type PoolStats struct {
	// Ready is how many containers wait, Target how many should.
	Ready, Target int
	// Oldest is the age of the one that has waited longest.
	Oldest time.Duration
	// Hits and Misses count the logins that have found a container, and those
	// that have not. Lost counts containers that ended while they waited.
	Hits, Misses, Lost uint64
}

// pooled is a container that waits, with its agent connected.
type pooled struct {
	container *madeContainer
	client    *agentproto.Client
	made      time.Time
}

func newPool(ctx context.Context, p *provider) *pool {
	ctx, cancel := context.WithCancel(ctx)
	l := &pool{
		p: p, c: p.config.Pool, log: p.log, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), target: p.config.Pool.Min,
	}
	l.work.Go(l.run)
	return l
}

// take gives out a container that is alive, for good; nil if there is none. Then
// the caller makes one itself, and calls done when it has.
func (l *pool) take() (taken *pooled, done func()) {
	var dead []*pooled
	defer func() {
		l.remove(dead)
		l.look()
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.quiet = now.Add(poolQuiet)
	for n := len(l.ready); n > 0; n = len(l.ready) {
		// The newest is the least likely to have been paged out.
		c := l.ready[n-1]
		l.ready = l.ready[:n-1]
		if !c.lost() {
			l.stats.Hits++
			return c, nil
		}
		l.stats.Lost++
		dead = append(dead, c)
	}
	l.stats.Misses++
	l.target = min(l.target+1, l.c.Max)
	l.shrink = now.Add(poolShrink)
	l.cold++
	return nil, func() {
		l.mu.Lock()
		l.cold--
		l.mu.Unlock()
		l.look()
	}
}

// lost says whether the container has ended.
func (c *pooled) lost() bool {
	select {
	case <-c.client.Done():
		return true
	default:
		return false
	}
}

// remove removes containers in the background.
func (l *pool) remove(list []*pooled) {
	for _, c := range list {
		if c.lost() {
			c.container.log.Warn("a container has ended while it waited in the pool")
		}
		_ = c.client.Close()
		c.container.discard(l.ctx)
	}
}

// look makes run look for something to do.
func (l *pool) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run keeps the pool as it should be.
func (l *pool) run() {
	limiter := rate.NewLimiter(rate.Limit(l.c.RefillRate), poolMakers)
	retry := backoff.NewExponentialBackOff()
	retry.MaxInterval = poolMaxRetry
	made := make(chan error, poolMakers) // how making one has ended
	for {
		wanted, pause := l.tend(time.Now())
		if wanted {
			if limiter.Wait(l.ctx) != nil {
				return
			}
			l.work.Go(func() { made <- l.make() })
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
		case <-timer.C:
		case err := <-made:
			l.mu.Lock()
			l.making--
			if err != nil {
				pause := retry.NextBackOff()
				if !engine.Permanent(err) {
					pause = min(pause, poolRetry)
				}
				l.broken = time.Now().Add(pause)
			} else {
				retry.Reset()
			}
			l.mu.Unlock()
		}
		timer.Stop()
	}
}

// tend drops what has ended or is too old, and says whether another container is
// wanted now, which it then counts as being made; or else when to look again at
// the latest.
func (l *pool) tend(now time.Time) (wanted bool, pause time.Duration) {
	var gone []*pooled
	defer func() { l.remove(gone) }()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.target > l.c.Min && now.After(l.shrink) {
		l.target--
		l.shrink = now.Add(poolShrink)
	}
	var kept []*pooled
	for i, c := range l.ready {
		switch {
		case c.lost():
			l.stats.Lost++
			gone = append(gone, c)
		case now.Sub(c.made) > l.c.MaxAge || len(l.ready)-i > l.target:
			gone = append(gone, c)
		default:
			kept = append(kept, c)
		}
	}
	l.ready = kept
	pause = time.Second
	for _, until := range []time.Time{l.quiet, l.broken} {
		if wait := until.Sub(now); wait > 0 {
			return false, min(pause, wait)
		}
	}
	if l.cold > 0 || l.making >= poolMakers || len(l.ready)+l.making >= l.target {
		return false, pause
	}
	l.making++
	return true, 0
}

// make makes a container, connects to its agent, and sees to it that its end is
// noticed.
func (l *pool) make() error {
	c, client, err := l.p.makeAgent(l.ctx, backend.Launch{Progress: func(string) {}})
	if err != nil {
		l.report(err)
		return err
	}
	l.rehearse(client)
	l.mu.Lock()
	l.ready = append(l.ready, &pooled{container: c, client: client, made: time.Now()})
	again := l.fault
	l.fault = false
	l.mu.Unlock()
	if again {
		l.log.Info("the pool makes containers again")
	}
	l.work.Go(func() {
		select {
		case <-client.Done():
			l.look()
		case <-l.ctx.Done():
		}
	})
	return nil
}

// rehearsal is how long it may take.
const rehearsal = 5 * time.Second

// rehearse has the login shell do nothing, once: what a login needs first of the
// image (the list of users, the shell, its libraries) has been read from the disk
// then. A shell that the configuration names is left alone: it need not be one.
func (l *pool) rehearse(client *agentproto.Client) {
	if len(l.p.config.Execution.ShellCommand) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, rehearsal)
	defer cancel()
	s, err := client.Start(ctx, l.p.agentStart(backend.Login{}, backend.Program{Kind: backend.KindExec, Command: ":"}))
	if err != nil {
		return // as in an image without a shell
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	_ = s.CloseWrite()
	_, _ = io.Copy(io.Discard, s.Stdout())
	_, _ = io.Copy(io.Discard, s.Stderr())
	_, _ = s.Wait(ctx)
}

// report logs that no container could be made: as an error once, and not every other
// second.
func (l *pool) report(err error) {
	if l.ctx.Err() != nil {
		return
	}
	level := slog.LevelError
	l.mu.Lock()
	if l.fault {
		level = slog.LevelDebug
	}
	l.fault = true
	l.mu.Unlock()
	l.log.Log(l.ctx, level, "the pool could not make a container; trying again", "error", err, "code", backend.Code(err))
}

// close removes all that wait, and returns when they are gone, or left to the
// reaper.
func (l *pool) close() {
	l.cancel()
	l.work.Wait()
	l.mu.Lock()
	ready := l.ready
	l.ready = nil
	l.mu.Unlock()
	l.remove(ready)
	l.p.removals.Wait()
}

// inherit counts on from where another pool is.
func (l *pool) inherit(from *pool) {
	s := from.snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Hits += s.Hits
	l.stats.Misses += s.Misses
	l.stats.Lost += s.Lost
}

// snapshot is the pool's state.
func (l *pool) snapshot() PoolStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Ready, s.Target = len(l.ready), l.target
	for _, c := range l.ready {
		s.Oldest = max(s.Oldest, time.Since(c.made))
	}
	return s
}
