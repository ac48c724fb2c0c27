package sshserver

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func source(text string) (netip.Addr, netip.Prefix) {
	from := netip.MustParseAddr(text)
	return from, PerSource{PrefixIPv4: 32, PrefixIPv6: 64}.source(from)
}

// Penalties add up, take effect at the minimum, go no further than the maximum,
// and pass.
func TestPenaltiesComeAndPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPenalties(Penalties{Min: 10 * time.Second, Max: 20 * time.Second})
		from, at := source("192.0.2.1")
		other, elsewhere := source("192.0.2.2")
		left := func(want time.Duration) {
			t.Helper()
			if got := p.left(from, at); got != want {
				t.Errorf("%v are left, want %v", got, want)
			}
			if got := p.left(other, elsewhere); got != 0 {
				t.Errorf("the neighbour is refused for %v", got)
			}
		}
		add := func(what offence) {
			t.Helper()
			if !p.add(from, at, what) {
				t.Error("no penalty")
			}
		}
		left(0)
		add(offenceAuthFail) // 5 s
		left(0)
		time.Sleep(3 * time.Second)
		add(offenceAuthFail) // 7 s
		add(offenceNoAuth)   // 8 s
		left(0)
		add(offenceNoAuth)
		add(offenceNoAuth) // 10 s: the minimum
		left(10 * time.Second)
		if n := p.refused(); n != 1 {
			t.Errorf("%d sources are refused", n)
		}
		time.Sleep(9 * time.Second)
		left(time.Second) // once due, it is until all has passed
		for range 10 {    // those who were there already when it began
			add(offenceGrace)
		}
		left(20 * time.Second)
		time.Sleep(20 * time.Second)
		left(0)
		if n := len(p.queue) + len(p.sources) + p.refused(); n != 0 {
			t.Error("something is left")
		}
		add(offenceAuthFail)
		left(0)
	})
}

func TestPenaltiesOfNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPenalties(Penalties{Min: time.Second, NoAuth: -1, Exempt: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/48")}})
		from, at := source("2001:db8::1")
		same, there := source("2001:db8::ffff:0:0:1")
		p.add(from, at, offenceAuthFail)
		if p.left(same, there) == 0 {
			t.Error("another address of the same network is not refused")
		}
		next, elsewhere := source("2001:db8:0:1::1")
		if p.left(next, elsewhere) > 0 {
			t.Error("the next network is refused")
		}
		free, home := source("2001:db8:1::1")
		if p.add(free, home, offenceAuthFail) || p.left(free, home) > 0 {
			t.Error("who is exempt has a penalty")
		}
		if p.add(next, elsewhere, offenceNoAuth) {
			t.Error("there is a penalty that was turned off")
		}
	})
}

// However many sources there are, so many are remembered.
func TestPenaltiesOverflow(t *testing.T) {
	for _, policy := range []Overflow{OverflowPermissive, OverflowDeny} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPenalties(Penalties{Min: time.Second, MaxSources: 2, Overflow: policy, Exempt: []netip.Prefix{}})
				short, a := source("192.0.2.1")
				long, b := source("192.0.2.2")
				third, c := source("192.0.2.3")
				p.add(short, a, offenceAuthFail)
				p.add(long, b, offenceGrace)
				if added := p.add(third, c, offenceAuthFail); added != (policy == OverflowPermissive) {
					t.Errorf("the third has a penalty: %v", added)
				}
				if len(p.queue) != 2 || len(p.sources) != 2 {
					t.Errorf("%d sources are remembered", len(p.queue))
				}
				if policy == OverflowPermissive {
					if p.left(short, a) > 0 || p.left(long, b) == 0 || p.left(third, c) == 0 {
						t.Error("another was forgotten than what would pass first")
					}
					return
				}
				stranger, d := source("192.0.2.4")
				if p.left(stranger, d) != 5*time.Second {
					t.Error("a stranger is let in while the table is full")
				}
				time.Sleep(5 * time.Second)
				if p.left(stranger, d) > 0 {
					t.Error("a stranger is refused though there is room")
				}
			})
		})
	}
}

func TestStartups(t *testing.T) {
	s := Startups{Start: 10, Rate: 30, Full: 110}
	for _, c := range []struct{ n, refused int }{
		{0, 0}, {9, 0}, {10, 30}, {60, 65}, {109, 99}, {110, 100}, {1000, 100},
	} {
		refused := 0
		for roll := range 100 {
			if s.refuses(c.n, roll) {
				refused++
			}
		}
		if refused != c.refused {
			t.Errorf("with %d, %d in a hundred are refused, want %d", c.n, refused, c.refused)
		}
	}
	if (Startups{Start: -1}).refuses(1e6, 0) {
		t.Error("something is refused without a limit")
	}
	if n, roll := 5, 99; !(Startups{5, 100, 5}).refuses(n, roll) {
		t.Error("a plain limit does not hold")
	}
}

func TestStartupsText(t *testing.T) {
	for text, want := range map[string]Startups{
		"10:30:100": {10, 30, 100}, "7": {7, 100, 7}, "none": {Start: -1},
	} {
		var got Startups
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		again, _ := got.MarshalText()
		var same Startups
		if err := same.UnmarshalText(again); err != nil || same != got {
			t.Errorf("%s became %s: %v", text, again, err)
		}
	}
	for _, text := range []string{"", "x", "1:2", "1:2:3:4", "0", "-1", "10:101:100", "10:-1:100", "10:30:9", "99999999999999999999"} {
		var got Startups
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passes as %v", text, got)
		}
	}
}

// What passes can be written, and says the same again.
func FuzzStartups(f *testing.F) {
	f.Add("10:30:100")
	f.Add("none")
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Startups
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, _ := s.MarshalText()
		if err := again.UnmarshalText(written); err != nil || s != again || s.Validate() != nil {
			t.Errorf("%q became %s: %v", text, written, err)
		}
		if s.Start > 0 && (s.refuses(s.Start-1, 0) || !s.refuses(s.Full, 99)) {
			t.Errorf("%q does not hold", text)
		}
	})
}
