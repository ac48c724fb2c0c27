package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// Client is one share in the way to an engine. Its methods may be called at the
// same time. Whoever opens it closes it.
type Client struct {
	link *link
	once sync.Once
}

// Close gives the share back. Streams go on until they are closed themselves.
// The second and later calls do nothing.
func (c *Client) Close() { c.once.Do(c.link.release) }

// Info negotiates at the first call and returns what it learnt after that. A
// failed negotiation is not remembered: the next call tries again.
func (c *Client) Info(ctx context.Context) (Info, error) {
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return Info{}, err
	}
	return n.info, nil
}

// unary makes one call that is answered in whole: it negotiates first, and
// gives call the Timeout of the Settings and extra.
func (l *link) unary(ctx context.Context, op string, extra time.Duration,
	call func(context.Context, *client.Client) error) error {
	n, err := l.negotiate(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout+extra, errNoAnswer)
	defer cancel()
	return l.explain(ctx, bounded, op, classify(op, call(bounded, n.api)))
}

// heavy is unary for what engines collapse under when too much of it comes at
// once.
func (c *Client) heavy(ctx context.Context, op string, call func(context.Context, *client.Client) error) error {
	if err := c.link.places.take(ctx, c, op); err != nil {
		return err
	}
	defer c.link.places.free(c)
	return c.link.unary(ctx, op, 0, call)
}

var errNoAnswer = errors.New("no answer in time")

// explain says which limit ended a call: the caller's context, whose error
// stays visible, or our own, which is not the caller's deadline.
func (l *link) explain(ctx, bounded context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		if errors.Is(err, ctx.Err()) && errors.Is(err, context.Cause(ctx)) {
			return err
		}
		return &failure{op: op, message: err.Error(), cause: errors.Join(context.Cause(ctx), ctx.Err())}
	case errors.Is(context.Cause(bounded), errNoAnswer) && isEnd(err):
		return fail(op, ErrUnavailable, "the engine at %s did not answer within %v", l.settings.Host, l.settings.Timeout)
	}
	return err
}

// isEnd tells whether err is what an ended context makes of a call.
func isEnd(err error) bool {
	var network net.Error
	return errors.Is(err, errNoAnswer) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) && network.Timeout()
}

// endedBy tells whether err says nothing but that ctx has ended.
func endedBy(err error, ctx context.Context) bool {
	return errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))
}

// checkID refuses what would change the path of a request.
func checkID(op, what, id string) error {
	if id == "" || strings.ContainsAny(id, "/?#%\\\x00\r\n ") || id == "." || id == ".." {
		return fail(op, ErrInvalid, "%q is no %s", id, what)
	}
	return nil
}

// describe makes an operation's name with its object.
func describe(verb, id string) string {
	if len(id) > 12 && !strings.ContainsAny(id, ":/.") {
		id = id[:12]
	}
	return fmt.Sprintf("%s %s", verb, id)
}
