package sshserver

import (
	"sync/atomic"
)

// limit is a bound that clients can run into.
type limit int

const (
	limitConnections limit = iota
	limitStartups
	limitSourceConnections
	limitSourceStartups
	limitPenalty
	limitUserConnections
	limitLoginBytes
	limitKeyExchanges
	limitSessions
	limitForwards
	limitListeners
	limitEnvironment
	limitRequests
	limitUnread
	limits
)

// limitNames are the keys of Stats.Refusals.
var limitNames = [limits]string{
	limitConnections:       "maxConnections",
	limitStartups:          "maxStartups",
	limitSourceConnections: "perSource.maxConnections",
	limitSourceStartups:    "perSource.maxStartups",
	limitPenalty:           "penalties",
	limitUserConnections:   "maxConnectionsPerUser",
	limitLoginBytes:        "loginBytes",
	limitKeyExchanges:      "keyExchanges",
	limitSessions:          "maxChannels",
	limitForwards:          "forwarding.maxConnections",
	limitListeners:         "listeners",
	limitEnvironment:       "environment",
	limitRequests:          "waitingRequests",
	limitUnread:            "maxUnread",
}

// Stats are what a Server knows of itself.
type Stats struct {
	// Unauthenticated is how many connections have not logged in.
	Unauthenticated int
	// Penalized is how many sources are refused for what they did.
	Penalized int
	// Refusals counts what limits have stopped, by their names: connections,
	// logins, channels, requests, and delayed key exchanges. Every limit is a
	// key.
	Refusals map[string]uint64
	// Penalties counts the penalties, by their kinds. Every kind is a key.
	Penalties map[string]uint64
}

// Stats are the Server's counts since its start.
func (s *Server) Stats() Stats {
	stats := Stats{Refusals: map[string]uint64{}, Penalties: map[string]uint64{}}
	for l, name := range limitNames {
		stats.Refusals[name] = s.tally.refusals[l].Load()
	}
	for o, name := range offences {
		stats.Penalties[name] = s.tally.penalties[o].Load()
	}
	s.mu.Lock()
	admission := s.admission
	s.mu.Unlock()
	if admission != nil {
		stats.Unauthenticated, stats.Penalized = admission.state()
	}
	return stats
}

// tally counts what limits have stopped.
type tally struct {
	refusals  [limits]atomic.Uint64
	penalties [offenceGrace + 1]atomic.Uint64
}

func (t *tally) refused(l limit)     { t.refusals[l].Add(1) }
func (t *tally) penalized(o offence) { t.penalties[o].Add(1) }
