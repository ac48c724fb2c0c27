package main

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/berth-ssh/berth/torture/internal/actor"
)

// ending is how a connection ends.
type ending int

const (
	// endClosed: the client closes it when all of its sessions have ended.
	endClosed ending = iota
	// endCut: TCP is cut after some number of bytes, in the middle of anything.
	endCut
	// endDeath: the container is removed under the sessions.
	endDeath
)

// handshake is about how many bytes a handshake takes.
const handshake = 4000

// connectionPlan is what one connection does.
type connectionPlan struct {
	number   int
	ending   ending
	sessions []sessionPlan
	// parallel is how many sessions are open at a time.
	parallel int
	// cutAt is the number of bytes, both ways together, after which it is cut
	// (endCut), with a reset or with an orderly end of TCP.
	cutAt int64
	reset bool
	// fatal is the session during which the container dies (endDeath).
	fatal int
	// stock says that each session is a connection of OpenSSH's ssh, which
	// exchanges keys again and again. The library's client does not: it is stuck
	// for good when it has much to send as an exchange begins.
	stock bool
}

// kind says what a session is there for.
type kind string

const (
	kindOutput   kind = "output"   // both streams, byte by byte
	kindInput    kind = "input"    // read to the half-close, told as a hash
	kindEcho     kind = "echo"     // both ways at once
	kindIgnored  kind = "ignored"  // input that nobody reads
	kindTerminal kind = "terminal" // raw, with changes of its size
	kindSignal   kind = "signal"   // one is sent: survived, or not
	kindKilled   kind = "killed"   // the program kills itself
	kindMute     kind = "mute"     // closes its output before it ends
	kindLeave    kind = "leave"    // the client closes the channel half-way
	kindStalled  kind = "stalled"  // the client reads nothing, and leaves at last
	kindOdd      kind = "odd"      // requests that are refused, and none at all
	kindForward  kind = "forward"  // a connection to the program, through the server
	kindSFTP     kind = "sftp"     // a file, there and back
)

// sessionPlan is what one session does, at both ends.
type sessionPlan struct {
	kind  kind
	order actor.Order
	// sent is the number of bytes of input, and halfClose says that it ends
	// then, and not with the session.
	sent      int64
	halfClose bool
	// writes and reads are the largest sizes of the client's, and pause says
	// that it makes pauses in between.
	writes, reads int
	pause         bool
	// resizes are sizes of the terminal: the first one comes with the request
	// for it.
	resizes [][2]int
	// signal is sent when the program is ready.
	signal string
	// leaveAt is the number of bytes of output after which the client closes
	// the channel (kindLeave).
	leaveAt int64
	// env is how many variables are set.
	env int
	// seed is for what the client decides on its way.
	seed uint64
}

// weights say how often a kind is chosen.
var weights = []struct {
	kind   kind
	weight int
}{
	{kindOutput, 24}, {kindInput, 16}, {kindEcho, 14}, {kindIgnored, 7}, {kindTerminal, 8}, {kindSignal, 7},
	{kindKilled, 5}, {kindMute, 4}, {kindLeave, 6}, {kindStalled, 2}, {kindOdd, 3}, {kindForward, 2}, {kindSFTP, 2},
}

// trapped and fatal are signals that the guest's program can survive, and that
// end it.
var (
	trapped = []string{"HUP", "INT", "TERM", "USR1", "USR2", "QUIT", "ALRM"}
	fatal   = []string{"KILL", "TERM", "HUP", "INT"}
)

// plan makes the plan for one connection of a cell. It has one session at least,
// and at most so many.
func (c cell) plan(seed uint64, number, most int) connectionPlan {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(number))
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.name()))
	binary.LittleEndian.PutUint64(key[16:], h.Sum64())
	r := rand.New(rand.NewChaCha8(key))

	p := connectionPlan{number: number, parallel: 2 + r.IntN(7)}
	switch n := r.IntN(100); {
	case n < 15:
		p.ending, p.reset = endCut, r.IntN(2) == 0
		if r.IntN(3) == 0 {
			p.cutAt = 1 + r.Int64N(handshake)
		} else {
			p.cutAt = exponential(r, handshake, 4<<20)
		}
	case n < 22 && c.engine == "real":
		p.ending = endDeath
	case n < 30:
		p.stock = true
	}
	n := 1 + r.IntN(c.sessions)
	switch {
	case p.stock:
		n = 1 + r.IntN(min(c.sessions, 4))
	case p.cutAt > 0 && p.cutAt < handshake:
		n = 1
	}
	p.fatal = r.IntN(n)
	for range min(n, max(1, most)) {
		p.sessions = append(p.sessions, c.planSession(r, p))
	}
	p.fatal = min(p.fatal, len(p.sessions)-1)
	return p
}

func (c cell) planSession(r *rand.Rand, of connectionPlan) sessionPlan {
	s := sessionPlan{
		kind: c.kind(r, of), seed: r.Uint64(),
		writes: int(exponential(r, 1, 256<<10)), reads: int(exponential(r, 1, 256<<10)), pause: r.IntN(5) == 0, env: max(0, r.IntN(8)-4),
	}
	o := &s.order
	o.Seed, o.Chunk, o.Code = r.Uint64(), int(exponential(r, 1, 256<<10)), code(r)
	if of.ending == endDeath {
		// The container is found by its name, which the program says. No
		// ordered end looks like that of a program whose container has died.
		o.Ready, o.Code = true, r.IntN(64)
	}
	o.Mute = s.kind == kindMute
	switch s.kind {
	case kindOutput, kindMute, kindKilled:
		o.Out, o.Err = amount(r), amount(r)
		if r.IntN(4) == 0 {
			o.Input = actor.InputClosed
		}
		if r.IntN(4) == 0 {
			s.sent, s.halfClose = amount(r), true // which nobody reads
		}
		if s.kind == kindKilled {
			o.Kill = fatal[r.IntN(len(fatal))]
		}
	case kindInput, kindEcho:
		o.Input = actor.InputRead
		if s.kind == kindEcho {
			o.Input = actor.InputEchoed
		} else {
			o.Out = amount(r) / 4
		}
		o.Err = amount(r) / 4
		s.sent = amount(r)
		if s.halfClose = r.IntN(3) > 0; !s.halfClose {
			s.sent++
			o.Part = 1 + r.Int64N(s.sent)
		}
	case kindIgnored:
		s.sent, s.halfClose = exponential(r, 1, 8<<20), r.IntN(2) == 0
		o.Out = amount(r) / 4
	case kindTerminal:
		o.Terminal, o.Ready, o.Out = true, true, amount(r)/4
		for range 1 + r.IntN(6) {
			s.resizes = append(s.resizes, [2]int{1 + r.IntN(500), 1 + r.IntN(200)})
		}
		last := s.resizes[len(s.resizes)-1]
		o.Columns, o.Rows = last[0], last[1]
		if r.IntN(2) == 0 {
			o.Input = actor.InputRead
			o.Part = exponential(r, 1, 64<<10)
			s.sent = o.Part
		}
	case kindSignal:
		o.Ready, o.Out = true, amount(r)/4
		if r.IntN(2) == 0 {
			s.signal = trapped[r.IntN(len(trapped))]
			o.Trap = s.signal
			if o.Code == 128+signalNumbers[s.signal] {
				o.Code = 0 // an engine says that of who is killed by it, too
			}
		} else {
			s.signal = fatal[r.IntN(len(fatal))]
			o.Forever = true
		}
	case kindLeave:
		o.Out, o.Err, o.Forever = exponential(r, 1, 4<<20), amount(r), r.IntN(2) == 0
		s.leaveAt = r.Int64N(o.Out + 1)
		if r.IntN(3) == 0 {
			s.sent = exponential(r, 1, 4<<20)
		}
	case kindStalled:
		o.Out, o.Err = 8<<20, 4<<20
	case kindForward:
		o.Ready, o.Serve = true, true
		s.sent = amount(r)
	case kindSFTP:
		s.sent = amount(r)
	}
	// Many small pieces, but not so many that they take all of the time.
	o.Chunk = max(o.Chunk, int(max(o.Out, o.Err)/pieces))
	s.writes = max(s.writes, int(s.sent/pieces))
	s.reads = max(s.reads, int(max(o.Out, o.Err, s.sent)/pieces))
	return s
}

// kind chooses one that is possible.
func (c cell) kind(r *rand.Rand, of connectionPlan) kind {
	possible := func(k kind) bool {
		switch k {
		case kindSignal:
			return c.signals() && !of.stock && of.ending != endDeath
		case kindKilled:
			return of.ending != endDeath
		case kindForward: // in session mode it belongs to the newest session
			return c.way == "inject" && c.engine == "real" && c.mode == "connection" && !of.stock && of.ending == endClosed
		case kindSFTP:
			return c.way == "inject" && c.engine == "real" && !of.stock && of.ending == endClosed
		case kindTerminal:
			return !of.stock && c.engine == "real"
		case kindStalled, kindOdd:
			return !of.stock && of.ending == endClosed
		}
		return true
	}
	for {
		sum := 0
		for _, w := range weights {
			sum += w.weight
		}
		n := r.IntN(sum)
		for _, w := range weights {
			if n -= w.weight; n < 0 {
				if possible(w.kind) {
					return w.kind
				}
				break
			}
		}
	}
}

// exponential is a number of which every order of magnitude is as likely.
func exponential(r *rand.Rand, low, high int64) int64 {
	return int64(float64(low) * math.Exp(r.Float64()*math.Log(float64(high)/float64(low))))
}

// amount is a number of bytes: sometimes none, mostly few, and at times many.
func amount(r *rand.Rand) int64 {
	switch n := r.IntN(20); {
	case n < 2:
		return 0
	case n < 19:
		return exponential(r, 1, 256<<10)
	}
	return exponential(r, 256<<10, 6<<20)
}

// pieces is about how many there are of a stream at most.
const pieces = 500

// code is an exit code, but not the actor's own.
func code(r *rand.Rand) int {
	for {
		if n := max(0, r.IntN(320)-64); n != actor.CodeBroken {
			return n
		}
	}
}
