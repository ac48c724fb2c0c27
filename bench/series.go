package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// series are the samples of one side of a figure, in the order in which they
// were taken.
type series struct {
	name string
	// ran says in words or as a command line what was timed.
	ran     string
	samples []float64 // milliseconds
}

func (s *series) add(d time.Duration) { s.samples = append(s.samples, milliseconds(d)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is the sample below which a part q of all samples are, by the
// nearest rank; 0 without samples.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median is the middle sample, or the mean of the two in the middle.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func (s *series) median() float64 { return median(s.samples) }
func (s *series) p99() float64    { return quantile(s.samples, 0.99) }

// compare makes one number of two series: op of their medians. The spread is
// that of op within single rounds: its lower and upper quartile.
func compare(a, b *series, op func(a, b float64) float64) (value float64, spread [2]float64) {
	var each []float64
	for i := range min(len(a.samples), len(b.samples)) {
		each = append(each, op(a.samples[i], b.samples[i]))
	}
	return op(a.median(), b.median()), [2]float64{quantile(each, 0.25), quantile(each, 0.75)}
}

func ratio(a, b float64) float64      { return a / b }
func difference(a, b float64) float64 { return a - b }

// contender is something that is timed again and again.
type contender struct {
	// series gets one sample each from each run.
	series []*series
	// run gives as many times as there are series.
	run func(ctx context.Context) ([]time.Duration, error)
	// settle waits until nothing of a run goes on that would disturb the
	// next one; may be nil.
	settle func(ctx context.Context) error
}

// timed is a contender whose whole run is timed.
func timed(name, ran string, settle func(context.Context) error, run func(context.Context) error) *contender {
	return &contender{
		series: []*series{{name: name, ran: ran}},
		settle: settle,
		run: func(ctx context.Context) ([]time.Duration, error) {
			begin := time.Now()
			err := run(ctx)
			return []time.Duration{time.Since(begin)}, err
		},
	}
}

// A slow machine gets fewer rounds, so that a whole run stays below ten minutes.
const (
	patience  = 75 * time.Second
	minRounds = 2
)

// alternate runs all contenders once in each round, so that whatever else goes
// on hits all of them alike. Each round begins with another one.
func alternate(ctx context.Context, rounds int, contenders []*contender) error {
	begin := time.Now()
	for round := range rounds {
		if round >= minRounds && time.Since(begin) > patience {
			break
		}
		for i := range contenders {
			c := contenders[(round+i)%len(contenders)]
			times, err := c.once(ctx)
			if err != nil {
				return err
			}
			for i, s := range c.series {
				s.add(times[i])
			}
		}
	}
	return nil
}

// warm runs all contenders once, for nothing but to fill caches.
func warm(ctx context.Context, contenders []*contender) error {
	for _, c := range contenders {
		if _, err := c.once(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rest is what everybody gets to clean up in, who goes on after the last word:
// engines do, with a program that has ended.
const rest = 20 * time.Millisecond

// once runs a contender and lets things settle.
func (c *contender) once(ctx context.Context) ([]time.Duration, error) {
	times, err := c.run(ctx)
	if err == nil && c.settle != nil {
		err = c.settle(ctx)
	}
	if err == nil {
		err = pause(ctx, rest)
	}
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(context.Cause(ctx), err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", c.series[0].name, err)
	}
	return times, nil
}
