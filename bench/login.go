package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// logins measures a whole login with stock ssh, the empty program and the
// logout, against the engine's own create and start, and OpenSSH.
func (b *bench) logins(ctx context.Context) ([]Figure, error) {
	endpoints, err := b.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	server, err := b.guestServer(ctx, "berth warm", loginPool, map[string]any{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.stop() }() // the run's end does it otherwise
	bare, err := b.createAndStart(ctx)
	if err != nil {
		return nil, err
	}
	all := []*contender{bare, login(server.endpoint)}
	for _, e := range endpoints {
		all = append(all, login(e))
	}
	if err := warm(ctx, all); err != nil {
		return nil, err
	}
	if err := alternate(ctx, b.size.logins, all); err != nil {
		return nil, err
	}
	if misses, err := server.metric(ctx, "berth_pool_misses_total"); err != nil || misses > 0 {
		return nil, errors.Join(err, fmt.Errorf("%.0f logins have found no container in the pool", misses))
	}
	created, executed := bare.series[0], bare.series[1]
	pooled, cold, openssh, rest := all[1].series[0], all[2].series[0], all[3].series[0], allSeries(all[4:])
	return []Figure{
		comparison("login_warm_vs_openssh", atMost(0.06), "ratio", ratio, append([]*series{pooled, openssh, cold}, rest...)),
		comparison("login_cold_overhead_ms", atMost(25), "ms", difference, append([]*series{cold, created, executed}, rest...)),
		comparison("login_cold_vs_openssh", nil, "ratio", ratio, append([]*series{cold, openssh}, rest...)),
	}, nil
}

// loginPool is how many containers wait for a login, one after another.
const loginPool = 2

// login is a login with stock ssh.
func login(e *endpoint) *contender {
	return timed(e.name, "ssh HOST true", e.settle, func(ctx context.Context) error { return run(e.ssh(ctx, nil, "true")) })
}

// createAndStart is the bare engine: a container created and started, and then
// a program in it with the engine's exec.
func (b *bench) createAndStart(ctx context.Context) (*contender, error) {
	image, err := b.guest(ctx)
	if err != nil {
		return nil, err
	}
	e, err := b.engine()
	if err != nil {
		return nil, err
	}
	spec := b.container(image)
	mark := b.name + " bare"
	spec.Config.Labels[label+".server"] = mark
	return &contender{
		series: []*series{
			{name: "engine create+start", ran: "POST /containers/create and /containers/ID/start"},
			{name: "engine create+start+exec", ran: "the same, and an exec of /bin/sh -c \"" + printing + "\" to its first byte"},
		},
		run: func(ctx context.Context) ([]time.Duration, error) {
			begin := time.Now()
			id, err := create(ctx, e, spec)
			if err != nil {
				return nil, err
			}
			if err := e.StartContainer(ctx, id); err != nil {
				return nil, err
			}
			started := time.Since(begin)
			exec, err := execFirstByte(ctx, e, id)
			if err != nil {
				return nil, err
			}
			return []time.Duration{started, started + exec}, e.RemoveContainer(ctx, id)
		},
		settle: func(ctx context.Context) error { return b.settled(ctx, mark, nil, 0) },
	}, nil
}

// burst measures many logins at once.
func (b *bench) burst(ctx context.Context) ([]Figure, error) {
	e, err := b.guestServer(ctx, fmt.Sprintf("berth, pool of %d", b.size.burstPool), b.size.burstPool, map[string]any{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.stop() }() // the run's end does it otherwise
	bare, err := b.createAndStart(ctx)
	if err != nil {
		return nil, err
	}
	if err := warm(ctx, []*contender{bare, login(e.endpoint)}); err != nil {
		return nil, err
	}
	// The engine alone, before and after, since the machine's speed changes.
	if err := alternate(ctx, b.size.burstReference, []*contender{bare}); err != nil {
		return nil, err
	}
	logins := &series{name: e.name, ran: fmt.Sprintf("%d times ssh HOST true, started at once", b.size.burst)}
	failures, why := 0, error(nil)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range b.size.burst {
		group.Go(func() {
			begin := time.Now()
			err := run(e.ssh(ctx, nil, "true"))
			d := time.Since(begin)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures, why = failures+1, err
				return
			}
			logins.add(d)
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := e.settle(ctx); err != nil {
		return nil, err
	}
	if err := alternate(ctx, b.size.burstReference, []*contender{bare}); err != nil {
		return nil, err
	}
	if failures == b.size.burst {
		return nil, fmt.Errorf("all logins have failed: %w", why)
	}
	created := bare.series[0]
	f := Figure{
		Name: "burst_100", Value: logins.median() / created.median(), Unit: "ratio", Goal: atMost(8), Failures: &failures,
		Sides: sides(logins, created),
	}
	if why != nil {
		f.Note = "the last failure: " + why.Error()
	}
	return []Figure{f}, nil
}
