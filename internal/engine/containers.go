package engine

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/moby/moby/client"
)

// StartContainer starts a container; one that runs is no error.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	op := describe("start container", id)
	if err := checkID(op, "container", id); err != nil {
		return err
	}
	return c.heavy(ctx, op, func(ctx context.Context, api *client.Client) error {
		_, err := api.ContainerStart(ctx, id, client.ContainerStartOptions{})
		return err
	})
}

// AttachContainer attaches to all three streams of a container, which may not
// have been started yet. tty says whether the container has a terminal.
func (c *Client) AttachContainer(ctx context.Context, id string, tty bool) (*Stream, error) {
	op := describe("attach to container", id)
	if err := checkID(op, "container", id); err != nil {
		return nil, err
	}
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"stream": {"1"}, "stdin": {"1"}, "stdout": {"1"}, "stderr": {"1"},
		"detachKeys": {attachDetachKeys(n.info)},
	}
	return c.link.hijack(ctx, op, n, "/containers/"+id+"/attach", query, nil, tty)
}

// ResizeContainer changes the size of a container's terminal.
func (c *Client) ResizeContainer(ctx context.Context, id string, columns, rows uint32) error {
	op := describe("resize container", id)
	if err := checkID(op, "container", id); err != nil {
		return err
	}
	return c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		_, err := api.ContainerResize(ctx, id, client.ContainerResizeOptions{Width: uint(columns), Height: uint(rows)})
		return err
	})
}

// KillContainer sends a signal, such as TERM, to a container's first process.
// A container that does not run is an ErrConflict.
func (c *Client) KillContainer(ctx context.Context, id string, signal string) error {
	op := describe("signal container", id)
	if err := checkID(op, "container", id); err != nil {
		return err
	}
	return c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		_, err := api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal})
		return err
	})
}

// StopContainer sends the container's stop signal, and kills after grace, which
// the engine takes in whole seconds (rounded up). It returns when the container
// has ended; one that does not run is no error.
func (c *Client) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	op := describe("stop container", id)
	if err := checkID(op, "container", id); err != nil {
		return err
	}
	grace = max(grace, 0)
	seconds := int((grace + time.Second - 1) / time.Second)
	return c.link.unary(ctx, op, grace+time.Second, func(ctx context.Context, api *client.Client) error {
		_, err := api.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds})
		return err
	})
}

// RemoveContainer kills a container and removes it with its anonymous volumes.
// It returns nil when the container is gone, whoever removed it.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	op := describe("remove container", id)
	if err := checkID(op, "container", id); err != nil {
		return err
	}
	return retry(ctx, func(ctx context.Context) error {
		err := c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
			_, err := api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}, func(err error) bool {
		// A conflict means that somebody else is removing it, an engine with
		// AutoRemove for example. Asking again is how to see it gone; should
		// the other one fail, ours takes over.
		return !errors.Is(err, ErrConflict)
	})
}

// ContainerRuns tells whether a container's own program runs. One that is gone
// does not.
func (c *Client) ContainerRuns(ctx context.Context, id string) (bool, error) {
	op := describe("look at container", id)
	if err := checkID(op, "container", id); err != nil {
		return false, err
	}
	runs := false
	err := c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		runs = err == nil && r.Container.State != nil && r.Container.State.Running
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return runs, err
}

// ListContainers lists the running and the stopped ones that carry all labels;
// an empty value asks for the label with whatever value.
func (c *Client) ListContainers(ctx context.Context, labels map[string]string) ([]Container, error) {
	filters := client.Filters{}
	for name, value := range labels {
		if value != "" {
			name += "=" + value
		}
		filters.Add("label", name)
	}
	var list []Container
	err := c.link.unary(ctx, "list containers", 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
		if err != nil {
			return err
		}
		list = make([]Container, 0, len(r.Items))
		for _, item := range r.Items {
			list = append(list, Container{ID: item.ID, Labels: item.Labels, State: string(item.State), Created: time.Unix(item.Created, 0)})
		}
		return nil
	})
	return list, err
}
