package sshserver

import "testing"

func TestPermits(t *testing.T) {
	tcp := func(host string, port uint32) Address { return Address{Network: "tcp", Host: host, Port: port} }
	unix := Address{Network: "unix", Path: "/s"}
	for _, c := range []struct {
		f            Forwarding
		a            Address
		dial, listen bool
	}{
		{Forwarding{}, tcp("x", 1), true, true},
		{Forwarding{}, unix, true, true},
		{Forwarding{TCP: "no"}, tcp("x", 1), false, false},
		{Forwarding{TCP: "no"}, unix, true, true},
		{Forwarding{TCP: "local"}, tcp("x", 1), true, false},
		{Forwarding{TCP: "remote"}, tcp("x", 1), false, true},
		{Forwarding{StreamLocal: "remote"}, unix, false, true},
		{Forwarding{PermitOpen: []string{}, PermitListen: []string{}}, tcp("x", 1), false, false},
		{Forwarding{PermitOpen: []string{"*:80", "Db:5432"}, PermitListen: []string{"8080", "*:9"}}, tcp("x", 80), true, false},
		{Forwarding{PermitOpen: []string{"*:80", "Db:5432"}, PermitListen: []string{"8080"}}, tcp("dB", 5432), true, false},
		{Forwarding{PermitOpen: []string{"db:*"}, PermitListen: []string{"8080"}}, tcp("localhost", 8080), false, true},
		{Forwarding{PermitOpen: []string{"[::1]:80", "127.0.0.1:80"}}, tcp("0:0:0:0:0:0:0:1", 80), true, true},
		{Forwarding{PermitOpen: []string{"127.0.0.1:80"}}, tcp("::ffff:127.0.0.1", 80), true, true},
		{Forwarding{PermitOpen: []string{"127.0.0.1:80"}}, tcp("localhost", 80), false, true},
	} {
		if got := c.f.permitsDial(c.a); got != c.dial {
			t.Errorf("%+v: dial %v: %v", c.f, c.a, got)
		}
		if got := c.f.permitsListen(c.a); got != c.listen {
			t.Errorf("%+v: listen at %v: %v", c.f, c.a, got)
		}
		if err := c.f.Validate(); err != nil {
			t.Errorf("%+v: %v", c.f, err)
		}
	}
	for _, bad := range []Forwarding{
		{TCP: "both"}, {StreamLocal: "true"}, {PermitOpen: []string{"80"}}, {PermitOpen: []string{"host:http"}},
		{PermitOpen: []string{":80"}}, {PermitListen: []string{"x:70000"}}, {PermitListen: []string{"0"}}, {PermitOpen: []string{"::1:80"}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}
