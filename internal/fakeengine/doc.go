// Package fakeengine is an in-memory Engine API for tests: an HTTP server on a
// unix socket of its own (or TCP with TLS) whose programs are Go functions and
// which fails on order.
//
//	Engine ──── images    present, or to be pulled as scripted
//	   ├─────── containers ── Process ── Program, a Go function
//	   ├─────── execs ─────── Process
//	   ├─────── Calls         what was asked, for counting
//	   └─────── Faults        delays, refusals, hangs, cut connections
//
// It behaves as Docker Engine 20.10 does where that is awkward: bytes that are
// sent together with a hijack request are lost, a terminal's half-close closes
// both directions, a program goes on when its client leaves.
package fakeengine
