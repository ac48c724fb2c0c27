package sshserver_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/sshserver"
)

// These tests come from several addresses of this machine: on Linux all of
// 127.0.0.0/8 are.

// dialFrom connects from an address of this machine, and says nothing.
func (h *house) dialFrom(from string) net.Conn {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", h.addr)
	must(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// refusals waits until a limit has refused so many.
func (h *house) refusals(limit string, n uint64) {
	h.t.Helper()
	if _, ok := h.server.Stats().Refusals[limit]; !ok {
		h.t.Fatalf("there is no limit %q", limit)
	}
	waitFor(h.t, fmt.Sprintf("%d refusals by %s, not %d", n, limit, h.server.Stats().Refusals[limit]),
		func() bool { return h.server.Stats().Refusals[limit] >= n })
}

// stays says whether a server keeps a connection that says nothing: it sends its
// identification to those that it keeps, and a farewell to the others.
func stays(t *testing.T, conn net.Conn) bool {
	t.Helper()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line == "SSH-2.0-Berth\r\n" {
		return true
	}
	return false
}

// Whoever holds many connections open without a login keeps out neither those
// who are in, nor those who come.
func TestStrangersKeepNobodyOut(t *testing.T) {
	h := newHouse(t, nil) // the defaults
	inside := h.session(h.dial())
	stdin, err := inside.StdinPipe()
	must(t, err)
	stdout, err := inside.StdoutPipe()
	must(t, err)
	must(t, inside.Start("cat"))
	kept := 0
	for range 200 {
		if stays(t, h.dialFrom("127.0.0.2")) {
			kept++
		}
	}
	equal(t, "connections kept of one source", kept, sshserver.DefaultSourceStartups)
	h.refusals("perSource.maxStartups", uint64(200-kept))
	equal(t, "strangers", h.server.Stats().Unauthenticated, kept)
	_, err = stdin.Write([]byte("still here"))
	must(t, err)
	answer := make([]byte, 10)
	_, err = io.ReadFull(stdout, answer)
	must(t, err)
	equal(t, "the one inside", string(answer), "still here")
	// From elsewhere there is room for certain.
	got := h.run(h.ssh("berth", "echo welcome"))
	equal(t, "a new login", got.stdout, "welcome\n")
}

// Where many sources do so, a new login gets in after some tries.
func TestRandomDrop(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) {
		s.PerSource.MaxStartups = -1
		s.MaxStartups = sshserver.Startups{Start: 50, Rate: 30, Full: 400}
	})
	for h.server.Stats().Unauthenticated < 200 {
		h.dialFrom("127.0.0.2")
	}
	h.refusals("maxStartups", 1)
	waitFor(t, "a login between the drops", func() bool {
		got := h.run(h.ssh("berth", "echo welcome"))
		if got.code != 0 && !strings.Contains(got.stderr, "12: Too many logins are under way; try again in a moment.") {
			t.Errorf("refused without a word: %q", got.stderr)
		}
		return got.stdout == "welcome\n"
	})
}

// A class may log in at the same moment, from one address.
func TestClass(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.Penalties.Exempt = []netip.Prefix{} })
	results := make(chan result, 100)
	for range cap(results) {
		cmd := h.ssh("berth", "echo here")
		go func() { results <- h.run(cmd) }()
	}
	for range cap(results) {
		if got := <-results; got.stdout != "here\n" {
			t.Errorf("%q, exit code %d", got.stderr, got.code)
		}
	}
	for limit, n := range h.server.Stats().Refusals {
		if n > 0 {
			t.Errorf("%s has refused %d", limit, n)
		}
	}
}

// Who is sent away before the protocol has begun can read why: with OpenSSH,
// and without SSH at all.
func TestFarewell(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxConnections = 1 })
	client := h.dial()
	const words = "The server has too many connections; try again later."
	got := h.run(h.ssh("berth", "true"))
	if got.code != 255 || !strings.Contains(got.stderr, ":12: "+words) {
		t.Errorf("ssh: exit code %d, %q", got.code, got.stderr)
	}
	raw := h.dialFrom("127.0.0.1")
	line, err := bufio.NewReader(raw).ReadString('\n')
	if line != words+"\r\n" {
		t.Errorf("%q, %v", line, err)
	}
	h.refusals("maxConnections", 2)
	must(t, client.Close())
	waitFor(t, "room", func() bool { return h.run(h.ssh("berth", "true")).code == 0 })
}

// However many are sent away and don't go, everybody is told why, few are waited
// for, and none holds up the end.
func TestFarewellsAreBounded(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxConnections = 1 })
	h.dial()
	goroutines := runtime.NumGoroutine()
	for range 200 {
		if line, err := bufio.NewReader(h.dialFrom("127.0.0.2")).ReadString('\n'); err != nil {
			t.Errorf("%q, %v", line, err)
		}
	}
	if more := runtime.NumGoroutine() - goroutines; more > 100 {
		t.Errorf("%d goroutines more than before", more)
	}
	equal(t, "strangers", h.server.Stats().Unauthenticated, 0)
}

func TestMaxConnectionsOfASource(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.PerSource.MaxConnections = 1 })
	client := h.dial()
	got := h.run(h.ssh("berth", "true"))
	if got.code != 255 || !strings.Contains(got.stderr, "12: There are too many connections from your address; end some of them first.") {
		t.Errorf("ssh: exit code %d, %q", got.code, got.stderr)
	}
	equal(t, "from another address", h.run(h.ssh("-b", "127.0.0.2", "berth", "echo hello")).stdout, "hello\n")
	h.refusals("perSource.maxConnections", 1)
	must(t, client.Close())
	waitFor(t, "room", func() bool { return h.run(h.ssh("berth", "true")).code == 0 })
}

// Who has too many connections is told so in the place of a session.
func TestMaxConnectionsOfAUser(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxPerUser = 1 })
	client := h.dial()
	got := h.run(h.ssh("berth", "true"))
	if got.code != 255 || !strings.Contains(got.stderr, "You have too many connections to this server; end some of them first.") {
		t.Errorf("ssh: exit code %d, %q", got.code, got.stderr)
	}
	config := h.clientConfig()
	config.User = "bob"
	bob, err := ssh.Dial("tcp", h.addr, config)
	must(t, err)
	defer bob.Close()
	out, err := h.session(bob).Output("echo hello")
	must(t, err)
	equal(t, "another user", string(out), "hello\n")
	h.refusals("maxConnectionsPerUser", 1)
	equal(t, "logins that the handler heard of", h.toy.count("login alice"), 1)
	must(t, client.Close())
	waitFor(t, "room", func() bool { return h.run(h.ssh("berth", "true")).code == 0 })
}

// failLogin tries to log in with a key that is not listed.
func (h *house) failLogin(from string) {
	h.t.Helper()
	config := h.clientConfig()
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(newKey(h.t))}
	if _, _, _, err := ssh.NewClientConn(h.dialFrom(from), h.addr, config); err == nil {
		h.t.Fatal("logged in with a stranger's key")
	}
}

// Penalties come with failed logins, are no affair of other addresses, and pass.
func TestPenalties(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) {
		s.Penalties = sshserver.Penalties{
			AuthFail: 2 * time.Second, Min: 3 * time.Second, Max: 4 * time.Second,
			Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32")},
		}
	})
	ssh := func(from string) result { return h.run(h.ssh("-b", from, "berth", "echo hello")) }
	penalties := func(n uint64) {
		t.Helper()
		waitFor(t, "penalties", func() bool { return h.server.Stats().Penalties["authFail"] == n })
	}
	h.failLogin("127.0.0.2")
	penalties(1)
	equal(t, "after one failure", ssh("127.0.0.2").stdout, "hello\n")
	h.failLogin("127.0.0.2")
	penalties(2)
	got := ssh("127.0.0.2")
	if got.code != 255 || !strings.Contains(got.stderr, "Too many connections from your address have failed; try again in ") {
		t.Errorf("ssh: exit code %d, %q", got.code, got.stderr)
	}
	equal(t, "penalized", h.server.Stats().Penalized, 1)
	equal(t, "from another address", ssh("127.0.0.1").stdout, "hello\n")
	for range 5 {
		h.failLogin("127.0.0.3")
	}
	equal(t, "from an exempt address", ssh("127.0.0.3").stdout, "hello\n")
	penalties(2)
	h.refusals("penalties", 1)
	waitFor(t, "mercy", func() bool { return ssh("127.0.0.2").stdout == "hello\n" })
	equal(t, "penalized", h.server.Stats().Penalized, 0)
}

// A question that nobody could answer is not held against the client; nor is
// what the server itself has cut.
func TestNoPenalty(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.Penalties.Exempt = []netip.Prefix{}
		toy.hooks.pubKey = func(string, string) (sshserver.AuthResponse, error) {
			return sshserver.AuthResponseUnavailable, errors.New("the directory is down")
		}
	})
	h.failLogin("127.0.0.2")
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 && h.server.Connections() == 0 })
	stays(t, h.dialFrom("127.0.0.2"))
	must(t, h.server.Close())
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 2 && h.server.Connections() == 0 })
	for kind, n := range h.server.Stats().Penalties {
		equal(t, kind, n, 0)
	}
}

// A client that dawdles is cut at the deadline, in whatever part of the
// handshake, and costs no more than a connection.
func TestDawdlers(t *testing.T) {
	kexInit := ssh.Marshal(struct {
		Kind                                      byte
		Cookie                                    [16]byte
		Kex, HostKeys, ToServer, ToClient, M1, M2 []string
		C1, C2, L1, L2                            []string
		Follows                                   bool
		Reserved                                  uint32
	}{
		Kind: 20, Kex: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"},
		ToServer: []string{"aes128-gcm@openssh.com"}, ToClient: []string{"aes128-gcm@openssh.com"},
		C1: []string{"none"}, C2: []string{"none"},
	})
	kexPacket := plainPacket(kexInit)
	for name, said := range map[string]string{
		"nothing":                    "",
		"half an identification":     "SSH-2.0-slow",
		"lines before it":            strings.Repeat("hello\r\n", 100),
		"half a packet":              "SSH-2.0-slow\r\n" + string(kexPacket[:20]),
		"a packet of a quarter MiB":  "SSH-2.0-slow\r\n" + string(binary.BigEndian.AppendUint32(nil, 256<<10)),
		"no answer to the exchange":  "SSH-2.0-slow\r\n" + string(kexPacket),
		"only what is to be ignored": "SSH-2.0-slow\r\n" + string(kexPacket) + strings.Repeat(string(plainPacket([]byte{2, 0, 0, 0, 0})), 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, choice := range []sshserver.CipherChoice{sshserver.CipherChoiceServer, sshserver.CipherChoiceClient} {
				h := newHouse(t, func(s *sshserver.Server, _ *toy) {
					s.CipherChoice = choice
					s.HandshakeTimeout = 500 * time.Millisecond
					s.Penalties.Exempt = []netip.Prefix{}
				})
				conn := h.dialFrom("127.0.0.2")
				over := make(chan struct{})
				go func() {
					defer close(over)
					_, _ = io.Copy(io.Discard, conn) // until the server closes
				}()
				_, _ = io.WriteString(conn, said)
				// A byte now and then helps nobody.
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for open := true; open; {
					select {
					case <-over:
						open = false
					case <-tick.C:
						_, _ = conn.Write([]byte{0})
					}
				}
				waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 && h.server.Connections() == 0 })
				stats := h.server.Stats()
				if name != "no answer to the exchange" && name != "only what is to be ignored" { // a byte breaks those off
					equal(t, "penalties", stats.Penalties["grace"], 1)
				}
				equal(t, "strangers", stats.Unauthenticated, 0)
			}
		})
	}
}

// plainPacket is a packet before the first key exchange (RFC 4253 section 6).
func plainPacket(payload []byte) []byte {
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	return append(append(append(packet, byte(padding)), payload...), make([]byte, padding)...)
}

// What a client sends before it has logged in is bounded.
func TestLoginBytes(t *testing.T) {
	var tries int
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.AuthMethods = []string{"password"}
		s.MaxAuthTries = -1
		toy.hooks.password = func(string, []byte) (sshserver.AuthResponse, error) {
			tries++
			return sshserver.AuthResponseFailure, nil
		}
	})
	config := h.clientConfig()
	config.Auth = []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.Password(strings.Repeat("x", 100_000)), 100)}
	if _, err := ssh.Dial("tcp", h.addr, config); err == nil {
		t.Error("logged in")
	}
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
	equal(t, "tries", tries, 2)
	h.refusals("loginBytes", 1)
	if !strings.Contains(h.logs.String(), "the client has sent more than 256 KiB without a login") {
		t.Errorf("log:\n%s", h.logs)
	}
}

// A client that asks for new keys all the time gets them, but not as fast as it
// asks; nothing is lost by that.
func TestManyKeyExchanges(t *testing.T) {
	h := newHouse(t, nil)
	config := h.clientConfig()
	config.RekeyThreshold = 256 // bytes
	client, err := ssh.Dial("tcp", h.addr, config)
	must(t, err)
	defer client.Close()
	s := h.session(client)
	var out bytes.Buffer
	s.Stdout = &out
	stdin, err := s.StdinPipe()
	must(t, err)
	must(t, s.Start("cat"))
	sent := 0
	for h.server.Stats().Refusals["keyExchanges"] < 2 {
		n, err := stdin.Write(make([]byte, 64))
		must(t, err)
		sent += n
	}
	must(t, stdin.Close())
	must(t, s.Wait())
	equal(t, "bytes that came back", out.Len(), sent)
	if !strings.Contains(h.logs.String(), "the client asks for new keys too often; from now on it has to wait") {
		t.Error("no word in the log")
	}
}

// The environment of a session is bounded, and who asks for too much has a
// session all the same.
func TestEnvironment(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.MaxEnvVariables, s.MaxEnvBytes = 3, 100 })
	args := []string{"-o", "SetEnv=A=1 B=" + strings.Repeat("x", 100) + " C=3 D=4 E=5", "berth", "echo $A$B$C$D$E"}
	got := h.run(h.ssh(args...))
	equal(t, "what the program sees", got.stdout, "134\n")
	h.refusals("environment", 2)
}
