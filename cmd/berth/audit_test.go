package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// newerThanTheAudit are names that Debian 12's ssh-audit, of 2021, has not heard
// of: it warns that they are unknown. Newer ones know them as good.
var newerThanTheAudit = []string{"mlkem768x25519-sha256", "kex-strict-s-v00@openssh.com"}

// Who audits a server with the default configuration finds nothing, neither a
// failure nor a warning.
func TestAudit(t *testing.T) {
	program, err := exec.LookPath("ssh-audit")
	if err != nil {
		t.Skipf("LOUD: the algorithms are not audited: %v: install Debian's package ssh-audit, as \"make setup\" does", err)
	}
	image := testguest.Busybox(t)
	for name, ssh := range map[string]string{
		"default": "",
		// The server otherwise offers AES-GCM only to whoever has it.
		"all ciphers": "cipherChoice: client, ",
	} {
		t.Run(name, func(t *testing.T) {
			config := strings.Replace(lab(label(t), image, busybox),
				"ssh: {", "ssh: {"+ssh, 1)
			s := testberth.Start(t, config, t.TempDir())
			cmd := exec.CommandContext(t.Context(), program, "-n", "-v", "127.0.0.1:"+port(t, s))
			out, err := cmd.CombinedOutput() // its exit code is that of what it found
			said := string(out)
			for _, expected := range []string{"(kex) curve25519-sha256 ", "(key) ssh-ed25519 ", "(enc) aes128-gcm@openssh.com ", "(mac) hmac-sha2-256-etm@openssh.com "} {
				if !strings.Contains(said, expected) {
					t.Fatalf("the audit has not seen %q (%v):\n%s", expected, err, said)
				}
			}
			if (ssh != "") != strings.Contains(said, "(enc) chacha20-poly1305@openssh.com ") {
				t.Error("other ciphers were offered than should be")
			}
			for line := range strings.Lines(said) {
				if !strings.Contains(line, "[warn]") && !strings.Contains(line, "[fail]") && !strings.Contains(line, "CVE-") {
					continue
				}
				if !knownToNewer(line) {
					t.Errorf("the audit says: %s", line)
				}
			}
			if t.Failed() {
				t.Logf("all that it says:\n%s", said)
			}
		})
	}
}

func knownToNewer(line string) bool {
	for _, name := range newerThanTheAudit {
		if strings.Contains(line, " "+name+" ") && strings.Contains(line, "[warn] unknown algorithm") {
			return true
		}
	}
	return false
}

// port is where a server listens, from its ready line.
func port(t *testing.T, s *testberth.Server) string {
	t.Helper()
	for _, option := range s.Options {
		if port, ok := strings.CutPrefix(option, "Port="); ok {
			return port
		}
	}
	t.Fatalf("no port in %q", s.Options)
	return ""
}

// Prometheus hears of what limits have refused, each by its name, and of
// penalties.
func TestMetricsOfLimits(t *testing.T) {
	state := t.TempDir()
	config := strings.Replace(lab(label(t), testguest.Busybox(t), busybox), "ssh: {",
		"ssh: {maxConnections: 1, penalties: {exempt: [], noAuth: 1h, min: 1h, max: 1h}, ", 1)
	s := testberth.Start(t, config, state)
	address := "127.0.0.1:" + port(t, s)
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	waitFor(t, "the first connection", func() bool { return metric(t, state, "berth_unauthenticated_connections") == 1 })
	refused := func(limit, words string) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		said, err := io.ReadAll(conn)
		if !strings.Contains(string(said), words) {
			t.Errorf("said %q, %v", said, err)
		}
		if n := metric(t, state, fmt.Sprintf("berth_refusals_total{limit=%q}", limit)); n != 1 {
			t.Errorf("%v refusals for %s are counted", n, limit)
		}
	}
	refused("maxConnections", "The server has too many connections; try again later.\r\n")
	_ = first.Close()
	waitFor(t, "the penalty", func() bool {
		return metric(t, state, `berth_penalties_total{kind="noAuth"}`) == 1
	})
	refused("penalties", "Too many connections from your address have failed; try again in 1h0m0s.\r\n")
	if metric(t, state, "berth_penalized_sources") != 1 {
		t.Error("no source is said to be penalized")
	}
}
