package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/torture/internal/actor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// The second one ends this process at once, and the servers with it.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// settings are the flags.
type settings struct {
	seed     uint64
	sessions int
	limit    time.Duration
	parallel int
	only     int
	quiet    time.Duration
	program  string

	engines, ways, modes, pools choice

	// spoil is for tests: see fakes.
	spoil func(*actor.Order, *actor.World)
}

// command runs one command line and returns the exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := settings{
		engines: choice{"real": true, "fake": true}, ways: choice{"inject": true, "image": true, "none": true},
		modes: choice{"connection": true, "session": true}, pools: choice{"on": true, "off": true},
	}
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", 0, "`number` that all orders are made from; 0 is one at random, which is printed")
	flags.IntVar(&o.sessions, "sessions", 10_000, "how many sessions to run, in all cells together")
	flags.DurationVar(&o.limit, "time", 0, "begin no more connections after this `time`; 0 is no limit")
	flags.IntVar(&o.parallel, "parallel", 6, "how many connections are open at a time, each with up to 8 sessions")
	flags.IntVar(&o.only, "connection", -1, "run only the connection of this `number`, in each cell")
	flags.DurationVar(&o.quiet, "quiet", 35*time.Second, "how long the servers are left alone before anything is counted, so that they have no idle connections to the engine")
	flags.StringVar(&o.program, "berth", "bin/berth", "the built `program`")
	flags.Var(o.engines, "engines", "which `engines`: real, fake")
	flags.Var(o.ways, "ways", "which `ways` to run programs: inject, image, none")
	flags.Var(o.modes, "modes", "which `modes`: connection, session")
	flags.Var(o.pools, "pool", "with a pool of containers: `on`, off")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0 || o.sessions < 0 || o.parallel < 1:
		fmt.Fprintln(stderr, "torture: no operands are known, and numbers are not negative; --help lists the flags")
		return exitUsage
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	var chosen []cell
	for _, c := range cells {
		pool := "off"
		if c.pool {
			pool = "on"
		}
		if o.engines[c.engine] && o.ways[c.way] && o.modes[c.mode] && o.pools[pool] {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		fmt.Fprintln(stderr, "torture: these flags leave nothing to do: a pool needs the way inject, and the fake engine has no image")
		return exitUsage
	}
	fmt.Fprintf(stdout, "seed %d\n", o.seed)
	list, err := o.run(ctx, chosen, stderr)
	for _, t := range list {
		err = errors.Join(err, t.err())
	}
	table(stdout, list)
	if ctx.Err() != nil {
		err = errors.New("interrupted; everything that was started has been ended")
	}
	if err != nil {
		fmt.Fprintf(stderr, "torture: %v\n", err)
		return exitError
	}
	return exitOK
}

// run tortures the cells, one after another, and ends all that it has started.
func (o settings) run(ctx context.Context, chosen []cell, log io.Writer) (list []*tally, err error) {
	log = &locked{w: log}
	defer engine.CloseIdle()
	directory, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	hosts, images := map[string]string{}, map[string]string{}
	for _, c := range chosen {
		switch {
		case hosts[c.engine] != "":
		case c.engine == "fake":
			fake, err := startFake(fakes{o.spoil})
			if err != nil {
				return nil, err
			}
			defer func() {
				if e := fake.Close(); e != nil {
					err = errors.Join(err, e)
				}
			}()
			hosts["fake"], images["fake"] = fake.Host(), fakeImage
		default:
			hosts["real"] = testguest.EngineHost()
			if images["real"], err = testguest.MakeProgram(ctx, hosts["real"], "torture/guest"); err != nil {
				return nil, err
			}
		}
	}

	var subjects []*subject
	defer func() {
		var all sync.WaitGroup
		for _, s := range subjects {
			all.Go(func() { s.end(ctx) })
		}
		all.Wait()
	}()
	name, shares := runName(), 0
	for i, c := range chosen {
		own := filepath.Join(directory, fmt.Sprint(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return list, err
		}
		s, err := newSubject(ctx, c, name, o.program, own, hosts[c.engine], images[c.engine], log)
		if err != nil {
			return list, err
		}
		subjects = append(subjects, s)
		if err := s.warm(ctx, o.seed); err != nil {
			return list, err
		}
		list = append(list, s.tally)
		shares += c.share
	}
	if err := pause(ctx, o.quiet); err != nil {
		return list, err
	}
	for _, s := range subjects {
		if s.before, err = s.server.counts(ctx); err != nil {
			return list, err
		}
	}

	// A server comes to rest while the next one is tortured.
	var settling sync.WaitGroup
	defer settling.Wait()
	for _, s := range subjects {
		var until <-chan time.Time
		if o.limit > 0 {
			until = time.After(o.limit * time.Duration(s.cell.share) / time.Duration(shares))
		}
		s.torture(ctx, o.seed, max(1, o.sessions*s.cell.share/shares), o.parallel, o.only, until)
		fmt.Fprintf(log, "%s %s: %d sessions in %.0f s\n", time.Now().Format(time.TimeOnly), s.cell.name(), s.tally.sessions, s.tally.took.Seconds())
		if ctx.Err() != nil {
			break
		}
		settling.Go(func() { s.settle(ctx) })
	}
	return list, nil
}

// locked takes lines from many.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
