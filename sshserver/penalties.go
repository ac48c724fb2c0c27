package sshserver

import (
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Penalties keep away, for a while, sources whose connections end badly, in the
// manner of OpenSSH's PerSourcePenalties. Each such connection adds to the
// source's penalty, which passes with time. When the sum has reached Min, the
// source's connections are refused until all of it has passed; a refused
// connection adds nothing. The zero value is the default; a source is what
// PerSource says.
//
// The defaults are milder than OpenSSH's: many people may be behind one address,
// and Max is the longest that one of them can keep out the others. What one
// source gets out of its connections is bounded all the same: without end, one
// failed login in AuthFail on average, or Max/AuthFail at once in Max.
type Penalties struct {
	// Disabled turns penalties off.
	Disabled bool
	// AuthFail is for a connection on which a login was tried and none
	// succeeded, however many tries there were. Zero means 5 seconds; negative
	// means no such penalty, as for the next two.
	AuthFail time.Duration
	// NoAuth is for a connection that ended before a login was tried: those who
	// only look, but also people who don't trust the host key. Zero means one
	// second.
	NoAuth time.Duration
	// Grace is for a connection that was cut at HandshakeTimeout. Zero means 10
	// seconds.
	Grace time.Duration
	// Min is the sum that a source may have without being refused. Zero means 30
	// seconds.
	Min time.Duration
	// Max is the largest sum, and so how long a source can be refused. Zero
	// means one minute.
	Max time.Duration
	// MaxSources bounds the sources that are remembered. Zero means 65536, which
	// take some 12 MiB.
	MaxSources int
	// Overflow says what happens when there would be more. Empty means
	// OverflowPermissive.
	Overflow Overflow
	// Exempt lists networks without penalties: where a proxy or many people are.
	// Nil means the loopback addresses, where a connection's source says nothing
	// about who has made it; empty means none.
	Exempt []netip.Prefix
}

// Overflow says what happens when more sources have penalties than can be
// remembered.
type Overflow string

const (
	// OverflowPermissive forgets the penalty that would pass first.
	OverflowPermissive Overflow = "permissive"
	// OverflowDeny refuses all connections of sources that are not exempt until
	// a penalty has passed.
	OverflowDeny Overflow = "deny"
)

// Values lists the policies that exist.
func (Overflow) Values() []string { return []string{string(OverflowPermissive), string(OverflowDeny)} }

// DefaultPenalties are the values that stand for those of a Penalties that are
// zero.
func DefaultPenalties() Penalties {
	return Penalties{
		AuthFail:   5 * time.Second,
		NoAuth:     time.Second,
		Grace:      10 * time.Second,
		Min:        30 * time.Second,
		Max:        time.Minute,
		MaxSources: 65536,
		Overflow:   OverflowPermissive,
		Exempt:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

func (p Penalties) withDefaults() Penalties {
	def := DefaultPenalties()
	p.AuthFail = orDefault(p.AuthFail, def.AuthFail)
	p.NoAuth = orDefault(p.NoAuth, def.NoAuth)
	p.Grace = orDefault(p.Grace, def.Grace)
	p.Min = orDefault(p.Min, def.Min)
	p.Max = orDefault(p.Max, def.Max)
	p.MaxSources = orDefault(p.MaxSources, def.MaxSources)
	p.Overflow = orDefault(p.Overflow, def.Overflow)
	if p.Exempt == nil {
		p.Exempt = def.Exempt
	}
	return p
}

// Validate says what is wrong with a Penalties.
func (p Penalties) Validate() error {
	full := p.withDefaults()
	switch {
	case full.Min < 0:
		return errors.New("the minimum of penalties is negative")
	case full.Max < full.Min:
		return fmt.Errorf("the maximum of penalties, %v, is below their minimum, %v: no source would ever be refused", full.Max, full.Min)
	case full.MaxSources < 0:
		return errors.New("the number of sources with penalties is negative; penalties can be disabled")
	case !slices.Contains(full.Overflow.Values(), string(full.Overflow)):
		return fmt.Errorf("there is no overflow policy %q", p.Overflow)
	}
	return nil
}

// offence is how a connection ended badly.
type offence int

const (
	noOffence offence = iota
	offenceAuthFail
	offenceNoAuth
	offenceGrace
)

// offences names the offences that Stats counts.
var offences = map[offence]string{offenceAuthFail: "authFail", offenceNoAuth: "noAuth", offenceGrace: "grace"}

// penalties remember which sources have how much of a penalty.
type penalties struct {
	set Penalties // immutable, defaults filled in

	mu      sync.Mutex
	sources map[netip.Prefix]*penalty
	queue   penaltyQueue // the same, that which passes first in front
}

// penalty is what a source has left.
type penalty struct {
	source netip.Prefix
	passes time.Time
	// due is set when the sum has reached the minimum.
	due   bool
	index int // in the queue
}

func newPenalties(set Penalties) *penalties {
	return &penalties{set: set.withDefaults(), sources: map[netip.Prefix]*penalty{}}
}

// left is how long a source is still refused; zero if it isn't.
func (p *penalties) left(from netip.Addr, source netip.Prefix) time.Duration {
	if p.exempt(from) {
		return 0
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	if known := p.sources[source]; known != nil {
		if known.due {
			return known.passes.Sub(now)
		}
		return 0
	}
	if p.set.Overflow == OverflowDeny && len(p.queue) >= p.set.MaxSources {
		return p.queue[0].passes.Sub(now)
	}
	return 0
}

// add adds to a source's penalty, and says whether that did anything.
func (p *penalties) add(from netip.Addr, source netip.Prefix, what offence) bool {
	amount := map[offence]time.Duration{
		offenceAuthFail: p.set.AuthFail, offenceNoAuth: p.set.NoAuth, offenceGrace: p.set.Grace,
	}[what]
	if amount <= 0 || p.exempt(from) {
		return false
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	known := p.sources[source]
	if known == nil {
		if len(p.queue) >= p.set.MaxSources {
			if p.set.Overflow == OverflowDeny {
				return false // everybody unknown is refused already
			}
			p.forget(p.queue[0])
		}
		known = &penalty{source: source, passes: now}
		p.sources[source] = known
		heap.Push(&p.queue, known)
	}
	known.passes = known.passes.Add(amount)
	if latest := now.Add(p.set.Max); known.passes.After(latest) {
		known.passes = latest
	}
	known.due = known.due || known.passes.Sub(now) >= p.set.Min
	heap.Fix(&p.queue, known.index)
	return true
}

// refused is the number of sources that are refused.
func (p *penalties) refused() int {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	n := 0
	for _, known := range p.queue {
		if known.due {
			n++
		}
	}
	return n
}

func (p *penalties) exempt(from netip.Addr) bool {
	return slices.ContainsFunc(p.set.Exempt, func(network netip.Prefix) bool { return network.Contains(from) })
}

// expire forgets what has passed. Each penalty is forgotten once, so what this
// takes was paid for by what added it.
func (p *penalties) expire(now time.Time) {
	for len(p.queue) > 0 && !p.queue[0].passes.After(now) {
		p.forget(p.queue[0])
	}
}

func (p *penalties) forget(known *penalty) {
	heap.Remove(&p.queue, known.index)
	delete(p.sources, known.source)
}

// penaltyQueue is a heap.
type penaltyQueue []*penalty

func (q penaltyQueue) Len() int           { return len(q) }
func (q penaltyQueue) Less(i, j int) bool { return q[i].passes.Before(q[j].passes) }
func (q penaltyQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *penaltyQueue) Push(x any) {
	known := x.(*penalty)
	known.index = len(*q)
	*q = append(*q, known)
}

func (q *penaltyQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
