//go:build unix

package sshserver_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
	"golang.org/x/crypto/ssh"
)

func TestLoadOrCreateHostKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "host_key")
	// Several at once get the same key.
	keys := make([]ssh.Signer, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			var err error
			if keys[i], err = sshserver.LoadOrCreateHostKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, key := range keys {
		if !bytes.Equal(key.PublicKey().Marshal(), keys[0].PublicKey().Marshal()) {
			t.Error("two processes got different keys")
		}
	}
	info, err := os.Stat(path)
	must(t, err)
	equal(t, "mode", info.Mode().Perm(), fs.FileMode(0o600))
	dir, err := os.Stat(filepath.Dir(path))
	must(t, err)
	equal(t, "mode of the directory", dir.Mode().Perm(), fs.FileMode(0o700))
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	equal(t, "files", len(entries), 1)

	must(t, os.Chmod(path, 0o644))
	if _, err := sshserver.LoadHostKeys(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that everybody can read: %v", err)
	}
	if _, err := sshserver.LoadHostKeys(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing key: %v", err)
	}
	// What is there but broken is never replaced.
	must(t, os.WriteFile(path, []byte("broken"), 0o600))
	must(t, os.Chmod(path, 0o600))
	if _, err := sshserver.LoadOrCreateHostKey(path); err == nil || !strings.Contains(err.Error(), "not a private key") {
		t.Errorf("a broken key: %v", err)
	}
}

func TestParseHostKeyRefuses(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(weak, "")
	must(t, err)
	if _, err := sshserver.ParseHostKey(pem.EncodeToMemory(block)); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("1024 bits: %v", err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	block, err = ssh.MarshalPrivateKeyWithPassphrase(strong, "", []byte("x"))
	must(t, err)
	if _, err := sshserver.ParseHostKey(pem.EncodeToMemory(block)); err == nil || !strings.Contains(err.Error(), "ssh-keygen -p") {
		t.Errorf("passphrase: %v", err)
	}
	if _, err := sshserver.GenerateHostKey("dsa"); err == nil {
		t.Error("dsa was generated")
	}
}

func TestServerValidate(t *testing.T) {
	key := newKey(t)
	for _, c := range []struct {
		want string
		set  func(*sshserver.Server)
	}{
		{"", func(*sshserver.Server) {}},
		{"no Handler", func(s *sshserver.Server) { s.Handler = nil }},
		{"no HostKeys", func(s *sshserver.Server) { s.HostKeys = nil }},
		{"two host keys", func(s *sshserver.Server) { s.HostKeys = append(s.HostKeys, newKey(t)) }},
		{`did you mean "publickey"`, func(s *sshserver.Server) { s.AuthMethods = []string{"pubkey"} }},
		{"nobody could log in", func(s *sshserver.Server) { s.AuthMethods = []string{} }},
		{"does not begin", func(s *sshserver.Server) { s.ServerVersion = "Berth" }},
		{"printable", func(s *sshserver.Server) { s.ServerVersion = "SSH-2.0-a\r\nb" }},
		{`did you mean "aes128-gcm@openssh.com"`, func(s *sshserver.Server) { s.Algorithms.Ciphers = []string{"aes128-gcm"} }},
		{`did you mean "curve25519-sha256"`, func(s *sshserver.Server) { s.Algorithms.KeyExchanges = []string{"curve25519-sha265"} }},
		{"listed twice", func(s *sshserver.Server) { s.Algorithms.MACs = []string{"hmac-sha2-256", "hmac-sha2-256"} }},
		{"is empty", func(s *sshserver.Server) { s.Algorithms.PublicKeys = []string{} }},
		{"none of the host keys", func(s *sshserver.Server) { s.Algorithms.HostKeys = []string{"rsa-sha2-512"} }},
		{"", func(s *sshserver.Server) { s.Algorithms.MACs = []string{"hmac-sha1"} }},
	} {
		s := &sshserver.Server{Handler: &toy{}, HostKeys: []ssh.Signer{key}}
		c.set(s)
		err := s.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
	if def := sshserver.DefaultAlgorithms(); def.Validate() != nil {
		t.Error("the defaults are not valid")
	}
}
