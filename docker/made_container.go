package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

// madeContainer is a container that has been created and belongs to one workload.
type madeContainer struct {
	p      *provider
	id     string
	launch string
	log    *slog.Logger
}

// create makes the container and gets its image if need be. socket is for its agent;
// nil without one.
func (p *provider) create(ctx context.Context, l backend.Launch, socket *agentSocket) (*madeContainer, error) {
	c, err := p.tryCreate(ctx, l, socket)
	var failed *backend.Error
	if errors.As(err, &failed) && errors.Is(err, engine.ErrNotFound) {
		if err := p.missingImage(ctx, failed, l.Progress); err != nil {
			return nil, err
		}
		c, err = p.tryCreate(ctx, l, socket)
	}
	if err != nil {
		return nil, err
	}
	c.log.Debug("created the container", "code", MContainerCreate)
	return c, nil
}

// tryCreate asks the engine for a container until ContainerStart has passed. The
// engine may make one that this does not hear of: see settle.
func (p *provider) tryCreate(ctx context.Context, l backend.Launch, socket *agentSocket) (*madeContainer, error) {
	launch := newLaunchID()
	spec, err := p.spec(ctx, l, launch, socket)
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, p.config.Timeouts.ContainerStart)
	defer cancel()
	p.register.own(launch)
	var id string
	var late *engine.Creation // unanswered at the end of ctx
	lost := 0                 // answers that will not come
	err = p.do(patient, stepCreate, retrying(l.Progress, func(patient context.Context) (err error) {
		made, err := p.engine.BeginContainer(patient, spec)
		if err != nil {
			return err
		}
		select {
		case <-made.Done():
			if id, err = made.Result(); engine.Lost(err) {
				lost++
			}
			return err
		case <-patient.Done():
			late = made
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: it has not answered within %v", engine.ErrUnavailable, p.config.Timeouts.ContainerStart)
		}
	}))
	c := &madeContainer{p: p, id: id, launch: launch, log: p.log.With("container", shortID(id))}
	switch {
	case late != nil || lost > 0:
		c.settle(ctx, late, lost, socket)
	case err != nil:
		p.register.disown(launch)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// settle sees, in the background, to what the engine makes of requests that
// nobody waits for any more: one whose answer is to come, and others whose
// answers are lost, which may have made containers all the same. Only c, if it
// has come to be, is kept.
func (c *madeContainer) settle(ctx context.Context, late *engine.Creation, lost int, socket *agentSocket) {
	p := c.p
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.Timeouts.ContainerStop)
	p.removals.Go(func() {
		defer cancel()
		if c.id == "" {
			defer p.register.disown(c.launch)
			defer socket.closeAgain()
		}
		if late != nil {
			select {
			case <-late.Done():
			case <-ctx.Done():
				late.Stop(context.Cause(ctx))
			}
			id, err := late.Result()
			if err == nil {
				p.log.Info("removing a container that was made too late", "container", shortID(id), "code", MContainerRemove)
				unwanted := &madeContainer{p: p, id: id, launch: c.launch, log: p.log.With("container", shortID(id))}
				unwanted.discard(ctx)
			} else if engine.Lost(err) {
				lost++
			}
		}
		if lost > 0 {
			p.sweep(ctx, c.launch, c.id, lost)
		}
	})
}

// sweepFor is how long an engine may take to come forward with a container
// when the answer to its creation is lost.
const sweepFor = 10 * time.Second

// sweep removes all containers of a launch but one; there are at most as many as
// answers that were lost. Gone is only what is not listed any more: Docker lists a
// container a moment before it knows it, says that there is none when it is to be
// removed then, and goes on making it. What comes later is the reaper's.
func (p *provider) sweep(ctx context.Context, launch, keep string, lost int) {
	ctx, cancel := context.WithTimeout(ctx, sweepFor)
	defer cancel()
	seen := map[string]bool{}
	for {
		found, err := p.engine.ListContainers(ctx, map[string]string{labelLaunch: launch})
		left := 0
		for _, c := range found {
			if c.ID == keep {
				continue
			}
			if !seen[c.ID] {
				p.log.Info("removing a container whose creation was not confirmed",
					"container", shortID(c.ID), "code", MContainerRemove)
			}
			seen[c.ID] = true
			left++
			_ = p.engine.RemoveContainer(ctx, c.ID) // tried again, and looked at
		}
		if err == nil && left == 0 && len(seen) >= lost {
			return
		}
		select {
		case <-ctx.Done():
			p.register.left()
			return
		case <-time.After(time.Second):
		}
	}
}

// start starts the container.
func (c *madeContainer) start(ctx context.Context, progress func(string)) error {
	var before error
	err := c.p.do(ctx, stepStart, retrying(progress, func(ctx context.Context) error {
		err := c.p.engine.StartContainer(ctx, c.id)
		if before != nil && errors.Is(err, engine.ErrNotFound) {
			// A container that could not be started is removed by an engine that
			// is to remove it: why it could not be is what there is to know.
			err = fmt.Errorf("%w, after: %w", err, before)
		}
		before = err
		return err
	}))
	var failed *backend.Error
	if !errors.As(err, &failed) {
		return err
	}
	if code := startFailure(failed.Err.Error()); code != 0 {
		failed.Exit = uint32(code)
		failed.User = UserMessageInitializeSSHSession + " The image has no program to start: " +
			"the one that is configured is missing or can't be run."
		failed.Message = "could not start the container: its command is not in the image; " +
			"set execution.idleCommand and execution.agentPath to what the image has, or execution.agent to none"
	}
	return failed
}

// discard removes the container in the background, since somebody waits for
// the word that it is not to be had.
func (c *madeContainer) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.p.config.Timeouts.ContainerStop)
	c.p.removals.Go(func() {
		defer cancel()
		if err := c.remove(ctx); err != nil {
			c.log.Error("a container is left for the reaper", "error", err, "code", EFailedContainerRemove)
		}
	})
}

// remove kills the container, if it still runs, and removes it. From then on it
// is nobody's: what is still there is the reaper's.
func (c *madeContainer) remove(ctx context.Context) error {
	err := c.p.do(ctx, stepRemove, func(ctx context.Context) error {
		return c.p.engine.RemoveContainer(ctx, c.id)
	})
	c.p.register.remove(c.id)
	c.p.register.disown(c.launch)
	if err != nil {
		c.p.register.left()
		return err
	}
	c.log.Debug("removed the container", "code", MContainerRemoveSuccessful)
	return nil
}

func newLaunchID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
