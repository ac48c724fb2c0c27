package auth

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// newKey makes a key and the line that lists it, without options and line end.
func newKey(t *testing.T) (ssh.PublicKey, string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " someone@somewhere"
}

func accepted(t *testing.T, a Authenticator, key ssh.PublicKey, ip string) bool {
	t.Helper()
	d, err := a.Authenticate(t.Context(), Attempt{
		Username: "anyone", Credential: PublicKey{key}, Client: net.TCPAddr{IP: net.ParseIP(ip), Port: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Detail == "" {
		t.Error("a decision without a detail for the log")
	}
	return d.Accepted
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAuthorizedKeysFromFilesAndTexts(t *testing.T) {
	inFile, fileLine := newKey(t)
	inText, textLine := newKey(t)
	stranger, _ := newKey(t)
	path := filepath.Join(t.TempDir(), "authorized_keys")
	write(t, path, "\ufeff# comment\r\n\r\n  "+fileLine+"\r\n")

	a := NewAuthorizedKeys([]string{path}, []string{textLine}, nil)
	for name, key := range map[string]ssh.PublicKey{"file": inFile, "text": inText} {
		if !accepted(t, a, key, "192.0.2.1") {
			t.Errorf("the key of the %s is refused", name)
		}
	}
	if accepted(t, a, stranger, "192.0.2.1") {
		t.Error("a key that is listed nowhere is accepted")
	}
}

func TestAuthorizedKeysFollowsChanges(t *testing.T) {
	first, firstLine := newKey(t)
	second, secondLine := newKey(t)
	path := filepath.Join(t.TempDir(), "keys")
	a := NewAuthorizedKeys([]string{path}, nil, nil)
	expect := func(when string, wantFirst, wantSecond bool) {
		t.Helper()
		if got := accepted(t, a, first, "::1"); got != wantFirst {
			t.Errorf("%s: first key accepted: %v", when, got)
		}
		if got := accepted(t, a, second, "::1"); got != wantSecond {
			t.Errorf("%s: second key accepted: %v", when, got)
		}
	}
	expect("missing file", false, false)
	write(t, path, firstLine)
	expect("file appeared", true, false)
	// The same size, at once: only a second look can find this.
	write(t, path, secondLine)
	expect("replaced", false, true)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	expect("older", false, true)
	if set := a.files[0].latest.Load(); set != a.files[0].current(a.log) {
		t.Error("an unchanged file is read again")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("removed", false, false)
}

func TestWarningsComeOnceForEachChange(t *testing.T) {
	key, line := newKey(t)
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, "rubbish\n"+line+"\n")
	var log bytes.Buffer
	a := NewAuthorizedKeys([]string{path}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		if !accepted(t, a, key, "::1") {
			t.Fatal("a bad line spoils the good one")
		}
	}
	if n := strings.Count(log.String(), path+":1"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}
}

// A line with an option that can't be enforced must not open more than it says.
func TestLinesThatAreRefused(t *testing.T) {
	_, plain := newKey(t)
	for name, text := range map[string]string{
		"command":             `command="echo hi" ` + plain,
		"no-pty":              "no-pty " + plain,
		"restrict":            "restrict " + plain,
		"cert-authority":      "cert-authority " + plain,
		"second option":       `from="10.0.0.1",command="a b" ` + plain,
		"unknown":             "made-up " + plain,
		"twice":               `from="10.0.0.1",from="10.0.0.2" ` + plain,
		"host name":           `from="*.example.com" ` + plain,
		"negated host name":   `from="10.*,!bad.example.com" ` + plain,
		"bits beyond mask":    `from="10.0.0.1/8" ` + plain,
		"empty entry":         `from="10.0.0.1," ` + plain,
		"no value":            "from " + plain,
		"not a time":          `expiry-time="tomorrow" ` + plain,
		"impossible time":     `expiry-time="20261340" ` + plain,
		"rubbish":             "rubbish",
		"key without its end": plain[:40],
		"private key":         "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := parseLine(text, "here")
			if err == nil {
				t.Fatalf("accepted: %+v", l)
			}
			if strings.Contains(err.Error(), "<nil>") || err.Error() == "" {
				t.Errorf("says nothing: %q", err)
			}
		})
	}
}

func TestCertificatesAreRefused(t *testing.T) {
	key, _ := newKey(t)
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(zeros{}, signer); err != nil {
		t.Fatal(err)
	}
	if _, err := parseLine(string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(certificate))), "here"); err == nil {
		t.Error("a certificate is taken for a key")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestFrom(t *testing.T) {
	key, plain := newKey(t)
	for _, c := range []struct {
		from, client string
		want         bool
	}{
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.10", false},
		{"10.0.0.?", "10.0.0.7", true},
		{"10.*", "10.1.2.3", true},
		{"10.*,!10.1.*", "10.1.2.3", false},
		{"!10.1.0.0/16,10.0.0.0/8", "10.2.0.1", true},
		{"!10.1.0.0/16", "192.0.2.1", false},
		{"*", "2001:db8::1", true},
		{"2001:DB8:0:0::1", "2001:db8::1", true},
		{"2001:db8::/32", "2001:db8:1::5", true},
		{"192.0.2.0/24", "::ffff:192.0.2.9", true},
		{"10.0.0.0/8", "2001:db8::1", false},
	} {
		a := NewAuthorizedKeys(nil, []string{`from="` + c.from + `" ` + plain}, nil)
		if len(a.texts.problems) > 0 {
			t.Errorf("from=%q: %v", c.from, a.texts.problems)
		}
		if got := accepted(t, a, key, c.client); got != c.want {
			t.Errorf("from=%q, client %s: %v", c.from, c.client, got)
		}
	}
}

func TestExpiry(t *testing.T) {
	key, plain := newKey(t)
	end := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	a := NewAuthorizedKeys(nil, []string{`expiry-time="202603011230Z" ` + plain}, nil)
	for _, c := range []struct {
		now  time.Time
		want bool
	}{{end.Add(-time.Second), true}, {end, false}, {end.Add(time.Hour), false}} {
		a.now = func() time.Time { return c.now }
		if got := accepted(t, a, key, "::1"); got != c.want {
			t.Errorf("at %s: %v", c.now, got)
		}
	}
	// The same key without an end on another line is good for ever.
	a = NewAuthorizedKeys(nil, []string{`expiry-time="20200101" ` + plain, plain}, nil)
	if !accepted(t, a, key, "::1") {
		t.Error("an expired line hides another one of the same key")
	}
}

func TestCheckAuthorizedKeys(t *testing.T) {
	_, good := newKey(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	write(t, path, good+"\n\nno-pty "+good+"\n")

	usable, problems := CheckAuthorizedKeys([]string{path, filepath.Join(dir, "missing"), dir}, []string{good, "bad"})
	if usable != 2 {
		t.Errorf("%d usable keys, want 2", usable)
	}
	if len(problems) != 4 {
		t.Fatalf("%d problems, want 4: %v", len(problems), problems)
	}
	var atLine *LineError
	if !errors.As(problems[1], &atLine) || atLine.File != path || atLine.Line != 3 {
		t.Errorf("got %v, want line 3 of %s", problems[1], path)
	}
	if !errors.Is(problems[2], fs.ErrNotExist) {
		t.Errorf("got %v for a missing file", problems[2])
	}
	if !strings.Contains(problems[3].Error(), "not a regular file") {
		t.Errorf("got %v for a directory", problems[3])
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(`from="10.*,!10.1.2.3" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ x`)
	f.Add(`expiry-time="20260101Z",from="::1/128" ssh-ed25519 AAAA`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLine(text, "here")
		if err == nil && l != nil && l.key == nil {
			t.Error("a line without a key")
		}
	})
}
