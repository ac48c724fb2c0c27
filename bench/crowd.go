package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// crowds measures the server with many connections open, each with a shell that
// nobody types in. So many containers would not fit on one machine: the engine
// is the one that tests use, in a process of its own, and at the ends of its
// streams are agents that speak the real protocol and run no programs.
func (b *bench) crowds(ctx context.Context) ([]Figure, error) {
	levels, few, many, shortage, err := b.levels()
	if err != nil {
		return nil, err
	}
	var host string
	if _, err := b.actor(ctx, "engine", nil, &host); err != nil {
		return nil, err
	}
	e, err := b.serve(ctx, "berth", map[string]any{
		"connection": map[string]any{"host": host},
		"execution":  map[string]any{"container": map[string]any{"image": fakeImage}, "imagePullPolicy": "Never"},
	})
	if err != nil {
		return nil, err
	}
	c := &crowd{server: e}
	if c.clients, err = b.actor(ctx, "clients", []string{e.addr, e.user, e.keyFile, e.knownHosts}, nil); err != nil {
		return nil, err
	}
	// The first logins fill caches that stay.
	if err := alternate(ctx, max(1, b.size.probes/5), []*contender{login(e.endpoint)}); err != nil {
		return nil, err
	}
	if err := c.settled(ctx); err != nil {
		return nil, err
	}
	empty := c.resident

	atFew := &series{name: fmt.Sprintf("%d connections", few), ran: "ssh HOST true"}
	atMany := &series{name: fmt.Sprintf("%d connections", many), ran: atFew.ran}
	var idle float64
	for i, n := range append(levels, few) {
		if err := c.become(ctx, n); err != nil {
			return nil, err
		}
		if err := c.settled(ctx); err != nil {
			return nil, err
		}
		level := Level{Connections: n, ResidentKiB: c.resident, KiBPerConnection: float64(c.resident-empty) / float64(n)}
		if level.Goroutines, err = e.metric(ctx, "go_goroutines"); err != nil {
			return nil, err
		}
		if level.IdleCPU, err = c.idleCPU(ctx, b.size.watch); err != nil {
			return nil, err
		}
		probe := login(e.endpoint)
		if err := alternate(ctx, b.size.probes, []*contender{probe}); err != nil {
			return nil, err
		}
		s := probe.series[0]
		fmt.Fprintf(b.log, "    %d connections: login %s ms, p99 %s ms; %d KiB\n", n, short(s.median()), short(s.p99()), level.ResidentKiB)
		switch n {
		case few: // before and after the many, since the machine's speed changes
			atFew.samples = append(atFew.samples, s.samples...)
		case many:
			atMany.samples = append(atMany.samples, s.samples...)
		}
		level.Login = sides(s)[0]
		if i == len(levels) {
			break // seen before
		}
		b.scaling = append(b.scaling, level)
		if n == b.size.idle {
			idle = level.KiBPerConnection
		}
	}
	none := float64(empty)
	full := none + idle*float64(b.size.idle)
	made := "the real server, with an engine that is no real one: nothing of a container or of the agent in it is counted"
	return []Figure{
		{
			Name: "idle_connection_kib", Value: idle, Unit: "KiB", Goal: atMost(128),
			Sides: []Side{
				{Name: fmt.Sprintf("%d connections", b.size.idle), Median: full, P99: full, Unit: "KiB", N: 1, Ran: "resident memory of the server"},
				{Name: "none", Median: none, P99: none, Unit: "KiB", N: 1, Ran: "resident memory of the server"},
			},
			Note: "resident memory of " + made,
		},
		{
			Name: "login_p99_at_10000", Value: atMany.p99() / atFew.p99(), Unit: "ratio", Goal: atMost(2),
			Sides: sides(atMany, atFew), Note: shortage + made,
		},
	}, nil
}

// levels are the numbers of connections that are measured, with the few and the
// many whose logins are compared. Where the machine does not allow as many open
// files, the many are fewer, and shortage says so.
func (b *bench) levels() (levels []int, few, many int, shortage string, err error) {
	// The server has two files open for each connection: the client's, and
	// the stream to the agent. Logins and the engine's answers take some more.
	const others = 200
	most := slices.Max(b.size.levels)
	allowed, err := moreFiles(uint64(2*most + others))
	if err != nil {
		return nil, 0, 0, "", err
	}
	many = min(most, (int(allowed)-others)/2)
	if many < most {
		shortage = fmt.Sprintf("LOUD: %d connections and not %d, since one process may have no more than %d files open here "+
			"(ulimit -n %d lifts that); ", many, most, allowed, 2*most+others)
		fmt.Fprintln(b.log, shortage)
	}
	if many <= b.size.idle {
		return nil, 0, 0, "", errors.New(shortage + "that is too few to measure anything")
	}
	for _, n := range b.size.levels {
		levels = append(levels, min(n, many))
	}
	return slices.Compact(levels), b.size.few, many, shortage, nil
}

// crowd is many connections to one server.
type crowd struct {
	server   *berthServer
	clients  *actor
	resident int // KiB, when it was last settled
}

// become opens or closes connections until there are n.
func (c *crowd) become(ctx context.Context, n int) error {
	var failed string
	if err := c.clients.ask(ctx, n, &failed); err != nil {
		return err
	}
	if failed != "" {
		return errors.New(failed)
	}
	return nil
}

// settled waits until the server's memory has not changed by much for so long that
// the server has come to rest, when it gives back what the logins took.
func (c *crowd) settled(ctx context.Context) error {
	const looks, most = 28, 120
	last, same := 0, 0
	for range most {
		kib, err := residentKiB(c.server.cmd.Process.Pid)
		if err != nil {
			return errors.Join(err, c.server.lost())
		}
		if math.Abs(float64(kib-last)) <= 0.005*float64(last) {
			same++
		} else {
			same = 0
		}
		if last = kib; same == looks {
			break
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
	c.resident = last
	return nil
}

// idleCPU is what the server takes of one processor, in percent.
func (c *crowd) idleCPU(ctx context.Context, watched time.Duration) (float64, error) {
	before, err := processorTime(c.server.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, watched); err != nil {
		return 0, err
	}
	after, err := processorTime(c.server.cmd.Process.Pid)
	return 100 * float64(after-before) / float64(watched), err
}
