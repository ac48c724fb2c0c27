package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	unavailable := fail("start container x", ErrUnavailable, "connection refused")
	t.Run("until it succeeds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun, tries := time.Now(), 0
			err := Retry(t.Context(), func(context.Context) error {
				if tries++; tries < 30 {
					return unavailable
				}
				return nil
			})
			if err != nil || tries != 30 {
				t.Errorf("%d tries, %v", tries, err)
			}
			if d := time.Since(begun); d > 30*13*lastPause/10 {
				t.Errorf("the pauses add up to %v", d)
			}
		})
	})
	t.Run("permanent", func(t *testing.T) {
		for _, kind := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrUnauthorized, ErrForbidden,
			ErrNotImplemented, context.Canceled} {
			tries := 0
			err := Retry(t.Context(), func(context.Context) error { tries++; return fail("x", kind, "no") })
			if tries != 1 || !errors.Is(err, kind) {
				t.Errorf("%v: %d tries, %v", kind, tries, err)
			}
		}
	})
	// The user reads what went wrong and not that time was up.
	t.Run("last real error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			why := errors.New("the container has 60s to start")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
			defer cancel()
			tries := 0
			err := Retry(ctx, func(ctx context.Context) error {
				if tries++; tries > 3 {
					<-ctx.Done()
					return ctx.Err()
				}
				return unavailable
			})
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, why) || !strings.Contains(err.Error(), "connection refused") ||
				strings.Contains(err.Error(), "deadline exceeded") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("ended before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := Retry(ctx, func(context.Context) error { t.Error("was called"); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
