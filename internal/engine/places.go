package engine

import (
	"context"
	"slices"
	"sync"
)

const (
	// heavyCalls run against one engine at a time; the rest queues.
	heavyCalls = 16
	// heavyCallsEach are those that one Client may have of them: whatever it
	// asks for, and however long the engine takes over it, there is room for
	// others.
	heavyCallsEach = heavyCalls * 3 / 4
)

// places bound how many heavy calls run at a time. Clients that wait for one
// have their turns in a ring: who wants a hundred places is passed by everybody
// who wants one. Of one Client the first to ask is the first to get.
type places struct {
	mu     sync.Mutex // for memory only
	taken  int
	queues map[*Client]*queue // of those that have a place, or want one
	ring   []*queue           // of those that want one, in the order of their turns
}

// queue is one Client's, guarded by places.mu.
type queue struct {
	taken   int
	waiting []chan struct{} // closed when the place is given
}

// take waits for a place, which must be given back with free.
func (p *places) take(ctx context.Context, who *Client, op string) error {
	turn := make(chan struct{})
	p.mu.Lock()
	q := p.queues[who]
	if q == nil {
		q = &queue{}
		if p.queues == nil {
			p.queues = map[*Client]*queue{}
		}
		p.queues[who] = q
	}
	if q.waiting = append(q.waiting, turn); len(q.waiting) == 1 {
		p.ring = append(p.ring, q)
	}
	p.give()
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(q.waiting, turn); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		p.settle(who, q)
	} else {
		p.back(who, q) // it has just been given
	}
	return fail(op, nil, "waited for one of %d places at the engine: %w", heavyCalls, context.Cause(ctx))
}

// free gives a place back.
func (p *places) free(who *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back(who, p.queues[who])
}

// The rest is called with the lock.

func (p *places) back(who *Client, q *queue) {
	p.taken--
	q.taken--
	p.settle(who, q)
	p.give()
}

// settle forgets a queue that nobody is in, and who waits for nothing loses the
// turn.
func (p *places) settle(who *Client, q *queue) {
	if len(q.waiting) > 0 {
		return
	}
	p.ring = slices.DeleteFunc(p.ring, func(other *queue) bool { return other == q })
	if q.taken == 0 {
		delete(p.queues, who)
	}
}

// give gives what is free to those whose turn it is.
func (p *places) give() {
	for p.taken < heavyCalls {
		i := slices.IndexFunc(p.ring, func(q *queue) bool { return q.taken < heavyCallsEach })
		if i < 0 {
			return
		}
		q := p.ring[i]
		p.ring = slices.Delete(p.ring, i, i+1)
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
		q.taken++
		p.taken++
		if len(q.waiting) > 0 {
			p.ring = append(p.ring, q)
		}
	}
}
