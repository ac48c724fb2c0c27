package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// podmanLook is how often a container is looked at on Podman, beside waiting.
const podmanLook = 500 * time.Millisecond

// WaitContainer registers a wait for a container's next exit and returns when
// the engine has acknowledged that, so that a start that comes later can't be
// missed. The channel gives one result and is then closed. The wait lasts as
// long as ctx; an engine that goes away is an ErrUnavailable.
//
// Podman 4 acknowledges first and begins to listen after that: a container that
// ends at once would go unseen, so it is looked at every half second too.
func (c *Client) WaitContainer(ctx context.Context, id string) (<-chan ExitResult, error) {
	op := describe("wait for container", id)
	if err := checkID(op, "container", id); err != nil {
		return nil, err
	}
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return nil, err
	}

	waiting, stop := context.WithCancelCause(ctx)
	late := time.AfterFunc(c.link.settings.Timeout, func() { stop(errNoAnswer) })
	// The condition is next-exit: "removed" gives 0 for whatever code on
	// Podman with AutoRemove, "not-running" is true of what never started.
	r := n.api.ContainerWait(waiting, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if !late.Stop() {
		<-waiting.Done()
	}
	select {
	case err := <-r.Error:
		// Refused, or answered already.
		err = c.link.explain(ctx, waiting, op, classify(op, broken(err)))
		stop(nil)
		return nil, err
	default:
	}

	results := make(chan ExitResult, 1)
	go func() {
		defer close(results)
		defer stop(nil)
		var look <-chan time.Time
		if n.info.Podman {
			ticker := time.NewTicker(podmanLook)
			defer ticker.Stop()
			look = ticker.C
		}
		for {
			select {
			case exit := <-r.Result:
				result := ExitResult{Exit: Exit{Code: int(exit.StatusCode)}}
				if exit.Error != nil {
					result.Exit.Message = exit.Error.Message
				}
				results <- result
				return
			case err := <-r.Error:
				results <- ExitResult{Err: c.link.explain(ctx, waiting, op, classify(op, broken(err)))}
				return
			case <-look:
				if code, ended := c.link.ended(waiting, n, id); ended {
					stop(nil)
					drain(r)
					results <- ExitResult{Exit: Exit{Code: code}}
					return
				}
			}
		}
	}()
	return results, nil
}

// drain lets the API client's goroutine go, which may hold a result.
func drain(r client.ContainerWaitResult) {
	select {
	case <-r.Result:
	case <-r.Error:
	}
}

// broken makes an engine that hung up recognisable.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail("wait", ErrUnavailable, "the engine hung up: %w", err)
	}
	return err
}

// ended looks whether a container has run and ended.
func (l *link) ended(ctx context.Context, n *negotiated, id string) (code int, ended bool) {
	bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout, errNoAnswer)
	defer cancel()
	r, err := n.api.ContainerInspect(bounded, id, client.ContainerInspectOptions{})
	if err != nil || r.Container.State == nil {
		return 0, false
	}
	state := r.Container.State
	return state.ExitCode, state.Status == container.StateExited && !state.Running
}
