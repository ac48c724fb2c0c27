package docker

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
)

const (
	defaultReapInterval = 5 * time.Minute
	// reapRetry is how soon what could not be removed is tried again: so long
	// after an engine's return it may still be there.
	reapRetry = 2 * time.Second
)

// Leftover is what is on an engine because of this server and is of use to
// nobody: a container that an earlier run has left, or that could not be removed
// in time; or the volume that held another version of the guest agent.
type Leftover struct {
	// ID is a container's; empty for a volume.
	ID string
	// Volume is a volume's name; empty for a container.
	Volume string
	// Created is when it was made; zero if the engine does not say.
	Created time.Time
	// User, Client and ConnectionID are what a container's labels say; empty
	// for one that had been made before anybody logged in.
	User, Client, ConnectionID string

	earlier bool // of another run
}

// Leftovers lists what Reap would remove now.
func (b *Backend) Leftovers(ctx context.Context) ([]Leftover, error) {
	list, err := b.nobodys(ctx)
	if err != nil {
		return nil, err
	}
	volumes, err := b.oldVolumes(ctx)
	return append(list, volumes...), err
}

// Reap removes what is of use to nobody and tells what it has removed: the
// containers of this instance that an earlier run has left or this one has lost,
// and the volumes that it made for other versions of the guest agent, unless
// some container has them. What is in use, in the pool, or being made by this
// run stays, and so does what other instances have. What can't be removed keeps
// it from nothing else.
func (b *Backend) Reap(ctx context.Context) (removed []Leftover, err error) {
	removed, err = b.reapContainers(ctx)
	volumes, failed := b.oldVolumes(ctx)
	err = errors.Join(err, failed)
	for _, v := range volumes {
		failed := b.engine.RemoveVolume(ctx, v.Volume)
		switch {
		case failed == nil:
			removed = append(removed, v)
			b.log.Info("removed the volume of another version of the guest agent", "volume", v.Volume)
		case !errors.Is(failed, engine.ErrConflict) && !errors.Is(failed, engine.ErrNotFound):
			err = errors.Join(err, failed)
		}
	}
	return removed, err
}

// reapContainers is Reap for containers.
func (b *Backend) reapContainers(ctx context.Context) (removed []Leftover, err error) {
	list, err := b.nobodys(ctx)
	for _, c := range list {
		if failed := b.engine.RemoveContainer(ctx, c.ID); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		removed = append(removed, c)
		what := "removed a container that nobody owned any more"
		if c.earlier {
			what = "removed a container that an earlier run had left"
		}
		b.log.Info(what, "container", shortID(c.ID), "code", MContainerRemoveSuccessful)
	}
	return removed, err
}

// nobodys are the containers of this instance without an owner, the oldest
// first. Those of this run are looked up only after the engine's list has been
// made: see register.owned.
func (b *Backend) nobodys(ctx context.Context) ([]Leftover, error) {
	if b.instance == "" {
		return nil, nil
	}
	all, err := b.engine.ListContainers(ctx, map[string]string{labelInstance: b.instance})
	if err != nil {
		return nil, err
	}
	var list []Leftover
	for _, c := range all {
		earlier := c.Labels[labelRun] != b.run
		if !earlier && b.register.owns(c.Labels[labelLaunch]) {
			continue
		}
		list = append(list, Leftover{
			ID: c.ID, Created: c.Created, earlier: earlier,
			User: c.Labels[labelUsername], Client: c.Labels[labelIP], ConnectionID: c.Labels[labelConnection],
		})
	}
	slices.SortFunc(list, func(a, b Leftover) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// agentVolumeName is what this package calls such volumes.
var agentVolumeName = regexp.MustCompile("^" + agentVolumePrefix + "[0-9a-f]{16}$")

// oldVolumes are those that this instance has made for other versions of the
// agent, and that no container has.
func (b *Backend) oldVolumes(ctx context.Context) ([]Leftover, error) {
	if b.instance == "" {
		return nil, nil
	}
	info, err := b.engine.Info(ctx) // known since Open
	if err != nil {
		return nil, err
	}
	current, err := agentProgram(info.Architecture)
	if err != nil {
		return nil, nil // this program carries none: it can't tell old from new
	}
	all, err := b.engine.UnusedVolumes(ctx, agentVolumePrefix, map[string]string{labelInstance: b.instance})
	var list []Leftover
	for _, v := range all {
		if v.Name != current.name && agentVolumeName.MatchString(v.Name) {
			list = append(list, Leftover{Volume: v.Name, Created: v.Created})
		}
	}
	return list, err
}

// Watch begins to look for containers without an owner, every ReapInterval and
// soon after one could not be removed, until ctx ends or Close. What an earlier
// run has left it removes, too: Reap need not have succeeded before.
func (b *Backend) Watch(ctx context.Context) {
	if b.instance == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	b.reaper = &reaper{b: b, ctx: ctx, cancel: cancel}
	b.reaper.work.Go(b.reaper.run)
}

// reaper reaps while a server runs.
type reaper struct {
	b      *Backend
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func (r *reaper) run() {
	interval := func() time.Duration {
		config, _ := r.b.current()
		return config.ReapInterval
	}
	failing, next := false, time.Now().Add(interval())
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-r.ctx.Done():
			timer.Stop()
			return
		case <-r.b.register.reap:
			timer.Stop()
			// Not at once: who has just failed may not be the only one.
			if soon := time.Now().Add(reapRetry); soon.Before(next) {
				next = soon
			}
			continue
		case <-timer.C:
		}
		err := r.reap()
		switch {
		case err == nil:
			next = time.Now().Add(interval())
		case r.ctx.Err() != nil:
			return
		default:
			next = time.Now().Add(min(reapRetry, interval()))
			level := slog.LevelWarn
			if failing { // not every other second
				level = slog.LevelDebug
			}
			r.b.log.Log(r.ctx, level, "containers that nobody owns may be left on the engine; trying again until they are gone",
				"error", err, "code", EFailedContainerRemove)
		}
		failing = err != nil
	}
}

func (r *reaper) reap() error {
	config, _ := r.b.current()
	ctx, cancel := context.WithTimeout(r.ctx, config.Timeouts.ContainerStop)
	defer cancel()
	_, err := r.b.reapContainers(ctx)
	return err
}

func (r *reaper) close() {
	r.cancel()
	r.work.Wait()
}
