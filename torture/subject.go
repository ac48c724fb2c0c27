package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
)

// settleTimeout is how long a server may take to come to rest: engines need time
// for hundreds of containers, and their connections are kept for half a minute.
const settleTimeout = 4 * time.Minute

// subject is a cell with its server.
type subject struct {
	cell   cell
	mark   string // the value of label
	server *server
	engine *engine.Client
	before counts
	tally  *tally
}

// newSubject starts a cell's server and warms it up.
func newSubject(ctx context.Context, c cell, run, program, directory, host, image string, log io.Writer) (_ *subject, err error) {
	s := &subject{cell: c, mark: run + " " + c.name(), tally: &tally{cell: c, log: log}}
	if s.engine, err = engine.Open(engine.Settings{Host: host, Timeout: time.Minute}); err != nil {
		return nil, err
	}
	if s.server, err = serve(ctx, program, directory, c.config(host, image, s.mark)); err != nil {
		s.engine.Close()
		return nil, err
	}
	return s, nil
}

// warm makes all that a server makes once, and leaves no other trace.
func (s *subject) warm(ctx context.Context, seed uint64) error {
	kinds := map[kind]bool{}
	var p connectionPlan
	for number := firstWarm; len(p.sessions) < 3; number++ {
		q := s.cell.plan(seed, number, s.cell.sessions)
		for _, session := range q.sessions {
			if !q.stock && q.ending == endClosed && !kinds[session.kind] {
				kinds[session.kind] = true
				p.sessions = append(p.sessions, session)
			}
		}
	}
	p.number, p.parallel = firstWarm, 1
	s.connect(ctx, p)
	if err := s.tally.err(); err != nil {
		return fmt.Errorf("%s goes wrong already when it is warmed up; the server says:\n%s", s.cell.name(), s.server.said)
	}
	log := s.tally.log
	s.tally = &tally{cell: s.cell, log: log}
	return s.idle(ctx)
}

// firstWarm is beyond the numbers of connections that count.
const firstWarm = 1 << 40

// idle waits until the containers are those of the pool only.
func (s *subject) idle(ctx context.Context) error {
	for {
		left, err := s.containers(ctx)
		if err != nil {
			return err
		}
		now, err := s.server.counts(ctx)
		if err != nil {
			return err
		}
		if left == s.pool() && now.pool == s.pool() && now.connections == 0 {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *subject) pool() int {
	if s.cell.pool {
		return poolSize
	}
	return 0
}

// containers counts those of the server, whatever they are for.
func (s *subject) containers(ctx context.Context) (int, error) {
	list, err := s.engine.ListContainers(ctx, map[string]string{"berth.instance": s.server.instance})
	return len(list), err
}

// volumes counts those of the cell's containers.
func (s *subject) volumes(ctx context.Context) (int, error) {
	list, err := s.engine.ListVolumes(ctx, "")
	n := 0
	for _, v := range list {
		if v.Labels[label] == s.mark {
			n++
		}
	}
	return n, err
}

// kill removes a container, by its name in itself, which begins its id.
func (s *subject) kill(ctx context.Context, host string) error {
	return s.engine.RemoveContainer(ctx, host)
}

// torture runs connections, some at a time, until they have had so many
// sessions, or the time is over. only is the one connection to run, if it is not
// negative.
func (s *subject) torture(ctx context.Context, seed uint64, sessions, parallel, only int, until <-chan time.Time) {
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.server.ended:
			s.tally.fail(fmt.Errorf("the server has ended: %w; it says:\n%s", errors.Join(s.server.err, io.EOF), s.server.said))
			cancel()
		case <-ctx.Done():
		}
	}()
	places := make(chan struct{}, parallel)
	var all sync.WaitGroup
	defer all.Wait()
	for number, n := 0, 0; n < sessions; number++ {
		p := s.cell.plan(seed, number, sessions-n)
		n += len(p.sessions)
		if only >= 0 && number != only {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		case <-until:
			sessions = 0
			continue
		}
		s.tally.mu.Lock()
		s.tally.connections++
		s.tally.mu.Unlock()
		all.Go(func() {
			s.connect(ctx, p)
			<-places
		})
	}
	all.Wait()
	s.tally.mu.Lock()
	s.tally.took = time.Since(begin)
	s.tally.mu.Unlock()
}

// settle waits until nothing is left that was not there before, and counts what
// is left if that does not happen. Then the server ends, with all of its
// containers.
func (s *subject) settle(ctx context.Context) {
	deadline := time.Now().Add(settleTimeout)
	for {
		left, err := s.containers(ctx)
		if err != nil {
			s.tally.fail(err)
			break
		}
		volumes, err := s.volumes(ctx)
		if err != nil {
			s.tally.fail(err)
			break
		}
		now, err := s.server.counts(ctx)
		if err != nil {
			s.tally.fail(err)
			break
		}
		expected := s.pool()
		over := func(now, before int) int { return max(0, now-before) }
		s.tally.mu.Lock()
		s.tally.containers, s.tally.volumes = over(left, expected), over(volumes, expected)
		s.tally.goroutines, s.tally.descriptors = over(now.goroutines, s.before.goroutines), over(now.descriptors, s.before.descriptors)
		sum := s.tally.containers + s.tally.goroutines + s.tally.descriptors + s.tally.volumes
		s.tally.mu.Unlock()
		if sum == 0 && now.connections == 0 {
			break
		}
		if time.Now().After(deadline) {
			s.tally.fail(fmt.Errorf("after %v there are still %+v, %d containers and %d volumes, and there were %+v before", settleTimeout, now, left, volumes, s.before))
			s.tell(ctx, now)
			break
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			break
		}
	}
}

// tell says what is known of what is left: the containers, and what goroutines
// are about, which ends the server.
func (s *subject) tell(ctx context.Context, now counts) {
	list, _ := s.engine.ListContainers(ctx, map[string]string{"berth.instance": s.server.instance})
	for _, c := range list {
		fmt.Fprintf(s.tally.log, "%s: container %.12s is %s, with the labels %v\n", s.cell.name(), c.ID, c.State, c.Labels)
	}
	if now.goroutines > s.before.goroutines || now.descriptors > s.before.descriptors {
		_ = s.server.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.server.ended
		s.server.err = nil // it was told to
		fmt.Fprintf(s.tally.log, "%s says:\n%s\n", s.cell.name(), s.server.said)
	}
}

// end stops the server, and looks at what it leaves.
func (s *subject) end(ctx context.Context) {
	if err := s.server.stop(); err != nil {
		s.tally.fail(fmt.Errorf("the server ended with %w; it says:\n%s", err, s.server.said))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	left, err := s.engine.ListContainers(ctx, map[string]string{"berth.instance": s.server.instance})
	if err != nil {
		s.tally.fail(err)
	}
	for _, c := range left {
		if err := s.engine.RemoveContainer(ctx, c.ID); err != nil {
			s.tally.fail(err)
		}
	}
	volumes, err := s.volumes(ctx)
	if err != nil {
		s.tally.fail(err)
	}
	s.tally.mu.Lock()
	s.tally.containers = max(s.tally.containers, len(left))
	s.tally.volumes = max(s.tally.volumes, volumes)
	s.tally.mu.Unlock()
	s.engine.Close()
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runName names a run on labels: by its process, so that a test finds its own.
func runName() string {
	return strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}
