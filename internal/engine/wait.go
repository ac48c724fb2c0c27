package engine

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// On Podman a container is looked at too, beside waiting: soon at first, since
// only those that end at once are missed.
const (
	firstLook = 25 * time.Millisecond
	lastLook  = time.Second
	// goneLooks is how often a container may be seen to be gone before the
	// wait for its exit code is given up.
	goneLooks = 5
)

// WaitContainer registers a wait for a container's next exit and returns when
// the engine has acknowledged that, so that a start that comes later can't be
// missed. The channel gives one result and is then closed. The wait lasts as
// long as ctx; an engine that goes away is an ErrUnavailable.
//
// Podman 4 acknowledges first and begins to listen after that: a container that
// ends at once would go unseen, so it is looked at as well.
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
		pause, gone, since := firstLook, 0, time.Now()
		look := make(<-chan time.Time)
		if n.info.Podman {
			look = time.After(pause)
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
				exit, err := c.link.ended(waiting, n, id, since)
				if errors.Is(err, ErrNotFound) {
					gone++
				}
				if err == nil && exit != nil || gone == goneLooks {
					stop(nil)
					drain(r)
					result := ExitResult{Err: err}
					if err == nil {
						result.Exit = *exit
					}
					results <- result
					return
				}
				pause = min(pause*2, lastLook)
				look = time.After(pause)
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

// ended looks whether a container has ended since a time; nil if it has not, or
// not yet begun. One that is gone has left its exit code in the engine's
// events, or is an ErrNotFound.
func (l *link) ended(ctx context.Context, n *negotiated, id string, since time.Time) (*Exit, error) {
	const op = "look for the exit of a container"
	bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout, errNoAnswer)
	defer cancel()
	r, err := n.api.ContainerInspect(bounded, id, client.ContainerInspectOptions{})
	if err == nil {
		state := r.Container.State
		if state == nil || state.Running || state.Status != container.StateExited {
			return nil, nil
		}
		return &Exit{Code: state.ExitCode}, nil
	}
	if err = classify(op, err); !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	events := n.api.Events(bounded, client.EventsListOptions{
		Since:   strconv.FormatInt(since.Unix()-1, 10), // whole seconds
		Until:   strconv.FormatInt(time.Now().Unix()+1, 10),
		Filters: client.Filters{}.Add("container", id),
	})
	var exit *Exit
	for {
		select {
		case event := <-events.Messages:
			if event.Action != "die" && event.Action != "died" {
				continue
			}
			for _, name := range []string{"exitCode", "containerExitCode"} {
				if code, err := strconv.Atoi(event.Actor.Attributes[name]); err == nil {
					exit = &Exit{Code: code}
					break
				}
			}
		case <-events.Err: // the end, in whatever way
			if exit == nil {
				return nil, err
			}
			return exit, nil
		}
	}
}
