package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The pauses of Retry grow from the first to the last one, each with some
// chance in it, so that many waiters do not come back at once.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Retry calls op until it succeeds, fails for good (see Permanent), or ctx
// ends. It returns op's last word: at the end of ctx that is the last real
// error together with ctx's cause.
func Retry(ctx context.Context, op func(context.Context) error) error {
	return retry(ctx, op, Permanent)
}

func retry(ctx context.Context, op func(context.Context) error, permanent func(error) bool) error {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval:     firstPause,
		RandomizationFactor: 0.3,
		Multiplier:          1.7,
		MaxInterval:         lastPause,
	}
	var last error
	for {
		if err := context.Cause(ctx); err != nil {
			return gaveUp(last, err)
		}
		err := op(ctx)
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			// What op says now may be no more than that it was stopped.
			if last == nil || !endedBy(err, ctx) {
				last = err
			}
			return gaveUp(last, cause)
		}
		if permanent(err) {
			return err
		}
		last = err

		timer := time.NewTimer(pauses.NextBackOff())
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

func gaveUp(last, cause error) error {
	if last == nil {
		return cause
	}
	return fmt.Errorf("%w (gave up: %w)", last, cause)
}
