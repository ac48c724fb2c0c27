package sshserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// PerSource bounds what comes from one source: an address, or a network of
// addresses that one client is likely to have for itself.
type PerSource struct {
	// MaxConnections bounds the connections of one source. Zero means a quarter
	// of Server.MaxConnections but not less than 64, so that no source can use
	// up the server alone; negative means no limit.
	MaxConnections int
	// MaxStartups bounds those of them that have not logged in yet. Zero means
	// 150: a class of a hundred behind one address may log in at the same
	// moment, but one source can't get Startups to the point where others are
	// refused. Negative means no limit.
	MaxStartups int
	// PrefixIPv4 and PrefixIPv6 are how many bits of an address make a source.
	// Zero means 32, the address itself, and 64, the smallest network that IPv6
	// gives to a customer, who has all of its addresses.
	PrefixIPv4, PrefixIPv6 int
}

// The defaults of the fields of a PerSource.
const (
	DefaultSourceStartups   = 150
	DefaultSourcePrefixIPv4 = 32
	DefaultSourcePrefixIPv6 = 64
)

const (
	// quarter and minQuarter make the limits of one source and one user out of
	// that of all.
	quarter    = 4
	minQuarter = 64
)

// DefaultShare is the default of the limits of the connections of one source
// and of one user, where maxConnections is that of all.
func DefaultShare(maxConnections int) int {
	maxConnections = orDefault(maxConnections, DefaultMaxConnections)
	if maxConnections < 0 {
		return -1
	}
	return max(minQuarter, maxConnections/quarter)
}

func (p PerSource) withDefaults(maxConnections int) PerSource {
	p.MaxConnections = orDefault(p.MaxConnections, DefaultShare(maxConnections))
	p.MaxStartups = orDefault(p.MaxStartups, DefaultSourceStartups)
	p.PrefixIPv4 = orDefault(p.PrefixIPv4, DefaultSourcePrefixIPv4)
	p.PrefixIPv6 = orDefault(p.PrefixIPv6, DefaultSourcePrefixIPv6)
	return p
}

// Validate says what is wrong with a PerSource.
func (p PerSource) Validate() error {
	switch {
	case p.PrefixIPv4 < 0 || p.PrefixIPv4 > 32:
		return fmt.Errorf("%d is no length of a prefix of IPv4 addresses, 1 to 32", p.PrefixIPv4)
	case p.PrefixIPv6 < 0 || p.PrefixIPv6 > 128:
		return fmt.Errorf("%d is no length of a prefix of IPv6 addresses, 1 to 128", p.PrefixIPv6)
	}
	return nil
}

// source is where an address counts. It is not valid for what has no address,
// such as a unix socket: that has no source to count by.
func (p PerSource) source(from netip.Addr) netip.Prefix {
	bits := p.PrefixIPv6
	if from.Is4() {
		bits = p.PrefixIPv4
	}
	source, _ := from.Prefix(bits) // the bits are valid
	return source
}

// admission decides which connections may begin, and which may stay once their
// user is known. It has no goroutine, and does no I/O.
type admission struct {
	// Immutable.
	max       int // negative means no limit, as with the others
	maxUser   int
	startups  Startups
	perSource PerSource
	penalties *penalties // nil means none
	tally     *tally

	// mu guards what follows.
	mu      sync.Mutex
	all     presence
	sources map[netip.Prefix]*presence // of those who are there
	users   map[string]int
}

// presence counts connections, and those of them that have not logged in.
type presence struct{ connections, startups int }

func newAdmission(v *settings, t *tally) *admission {
	a := &admission{
		max: v.maxConnections, maxUser: v.maxPerUser,
		startups: v.maxStartups, perSource: v.perSource, tally: t,
		sources: map[netip.Prefix]*presence{}, users: map[string]int{},
	}
	if !v.penalties.Disabled {
		a.penalties = newPenalties(v.penalties)
	}
	return a
}

// refusal is why a connection is sent away.
type refusal struct {
	limit limit
	words string // for the user
}

// place is that of one connection.
type place struct {
	admission *admission
	from      netip.Addr
	source    netip.Prefix

	// What follows is guarded by the admission's lock.
	startup bool
	user    *string // nil before the login
}

// enter gives a connection a place, or says why there is none.
func (a *admission) enter(remote net.Addr) (*place, *refusal) {
	tcp := tcpAddr(remote)
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	p := &place{admission: a, from: from, source: a.perSource.source(from)}
	if p.source.IsValid() && a.penalties != nil {
		if left := a.penalties.left(from, p.source); left > 0 {
			return nil, a.refuse(limitPenalty, fmt.Sprintf("Too many connections from your address have failed; try again in %v.",
				(left+time.Second-1).Truncate(time.Second)))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	there := a.sources[p.source]
	if there == nil {
		there = &presence{}
	}
	counted := p.source.IsValid()
	switch {
	case over(a.all.connections, a.max):
		return nil, a.refuse(limitConnections, "The server has too many connections; try again later.")
	case counted && over(there.connections, a.perSource.MaxConnections):
		return nil, a.refuse(limitSourceConnections, "There are too many connections from your address; end some of them first.")
	case counted && over(there.startups, a.perSource.MaxStartups):
		return nil, a.refuse(limitSourceStartups, "Too many logins from your address are under way; try again in a moment.")
	case a.startups.refuses(a.all.startups, rand.IntN(100)):
		return nil, a.refuse(limitStartups, "Too many logins are under way; try again in a moment.")
	}
	a.all.connections++
	a.all.startups++
	if counted {
		there.connections++
		there.startups++
		a.sources[p.source] = there
	}
	p.startup = true
	return p, nil
}

func over(n, limit int) bool { return limit >= 0 && n >= limit }

func (a *admission) refuse(l limit, words string) *refusal {
	a.tally.refused(l)
	return &refusal{l, words}
}

// login says that the connection has logged in, and whether it may stay.
func (p *place) login(user string) error {
	a := p.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	p.started()
	if over(a.users[user], a.maxUser) {
		a.tally.refused(limitUserConnections)
		return errTooManyOfUser
	}
	a.users[user]++
	p.user = &user
	return nil
}

// errTooManyOfUser sends away who has logged in.
var errTooManyOfUser = userConnectionsError{errors.New("the user has too many connections")}

type userConnectionsError struct{ error }

func (userConnectionsError) UserMessage() string {
	return "You have too many connections to this server; end some of them first."
}

// leave gives the place back. A connection that has not logged in may have
// ended with an offence.
func (p *place) leave(what offence) {
	a := p.admission
	a.mu.Lock()
	p.started()
	a.all.connections--
	if there := a.sources[p.source]; p.source.IsValid() {
		if there.connections--; there.connections == 0 {
			delete(a.sources, p.source)
		}
	}
	if p.user != nil {
		if a.users[*p.user]--; a.users[*p.user] == 0 {
			delete(a.users, *p.user)
		}
	}
	a.mu.Unlock()
	if what != noOffence && p.source.IsValid() && a.penalties != nil && a.penalties.add(p.from, p.source, what) {
		a.tally.penalized(what)
	}
}

// started is called with the lock, at the login and at the end.
func (p *place) started() {
	if !p.startup {
		return
	}
	p.startup = false
	p.admission.all.startups--
	if p.source.IsValid() {
		p.admission.sources[p.source].startups--
	}
}

// state is how many connections have not logged in, and how many sources are
// refused.
func (a *admission) state() (startups, penalized int) {
	a.mu.Lock()
	startups = a.all.startups
	a.mu.Unlock()
	if a.penalties != nil {
		penalized = a.penalties.refused()
	}
	return startups, penalized
}
