package engine

import (
	"context"

	"github.com/moby/moby/client"
)

// Creation is a container that the engine has been asked for. Whoever got it
// waits until it is Done, or calls Stop.
type Creation struct {
	done chan struct{}
	stop context.CancelCauseFunc
	id   string // set before done is closed
	err  error  // likewise
}

// BeginContainer asks for a container, when there is a place for the call; that
// is what ctx is for. An engine does what it has been asked for whether or not
// somebody still waits, and maybe late: so the request outlives ctx, keeps its
// place, and has no limit in time but Stop.
func (c *Client) BeginContainer(ctx context.Context, s ContainerSpec) (*Creation, error) {
	op := "create container"
	if s.Name != "" {
		op = describe(op, s.Name)
	}
	if s.Config == nil || s.Config.Image == "" {
		return nil, fail(op, ErrInvalid, "no image is given")
	}
	l := c.link
	n, err := l.negotiate(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.places.take(ctx, c, op); err != nil {
		return nil, err
	}
	request, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	made := &Creation{done: make(chan struct{}), stop: stop}
	go func() {
		defer close(made.done)
		defer l.places.free(c)
		defer stop(nil)
		r, err := n.api.ContainerCreate(request, client.ContainerCreateOptions{
			Name:             s.Name,
			Config:           s.Config,
			HostConfig:       s.Host,
			NetworkingConfig: s.Network,
			Platform:         s.Platform,
		})
		made.id, made.err = r.ID, l.explain(request, request, op, classify(op, err))
	}()
	return made, nil
}

// Done is closed when the engine has answered, or its answer is lost.
func (n *Creation) Done() <-chan struct{} { return n.done }

// Result is what has come of it, once it is Done. A name in use is an
// ErrConflict, a missing image an ErrNotFound.
func (n *Creation) Result() (id string, err error) {
	<-n.done
	return n.id, n.err
}

// Stop gives the request up, for a reason that becomes its error unless there is
// a result already. What the engine makes of it all the same is nobody's.
func (n *Creation) Stop(reason error) { n.stop(reason) }

// CreateContainer is BeginContainer for whoever has the time to wait: the
// request is given up with ctx.
func (c *Client) CreateContainer(ctx context.Context, s ContainerSpec) (id string, err error) {
	made, err := c.BeginContainer(ctx, s)
	if err != nil {
		return "", err
	}
	select {
	case <-made.Done():
	case <-ctx.Done():
		made.Stop(context.Cause(ctx))
	}
	return made.Result()
}
