package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/berth-ssh/berth/sshserver"
)

const stateDirHelp = "$XDG_STATE_HOME/berth, or ~/.local/state/berth"

// state is the state directory: what one server keeps from run to run. It is
// locked, so that no two servers share one.
type state struct {
	dir      string
	instance string // names this server on its containers
	unlock   func()
}

// stateDirectory is the path of the state directory; dir is what the user says.
func stateDirectory(dir string) (string, error) {
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("there is no home directory for the state: name one with --state-dir (%w)", err)
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "berth")
	}
	return filepath.Abs(dir)
}

// openState makes the directory at the first start.
func openState(dir string) (*state, error) {
	dir, err := stateDirectory(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w; name another one with --state-dir", err)
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if errors.Is(err, errLocked) {
		return nil, &lockedError{dir}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock the state directory: %w", err)
	}
	s := &state{dir: dir, unlock: unlock}
	if s.instance, err = s.readInstance(); err != nil {
		unlock()
		return nil, err
	}
	return s, nil
}

func (s *state) close() { s.unlock() }

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// readInstance reads the server's name, which is made at the first start.
func (s *state) readInstance() (string, error) {
	text, err := os.ReadFile(s.path("instance"))
	if err == nil && len(strings.TrimSpace(string(text))) == 32 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	return id, os.WriteFile(s.path("instance"), []byte(id+"\n"), 0o600)
}

// hostKeys loads the keys of the configuration; without any, the directory's
// own, which is made at the first start.
func (s *state) hostKeys(paths []string) ([]ssh.Signer, error) {
	if len(paths) > 0 {
		return sshserver.LoadHostKeys(paths...)
	}
	key, err := sshserver.LoadOrCreateHostKey(s.path("ssh_host_ed25519_key"))
	if err != nil {
		return nil, err
	}
	return []ssh.Signer{key}, nil
}

// clientKey is the key of the ready line, made at the first start. line is its
// public half as in authorized_keys.
func (s *state) clientKey() (path, line string, err error) {
	path = s.path("client_ed25519_key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", "", err
		}
		block, err := ssh.MarshalPrivateKey(private, "berth quick start")
		if err != nil {
			return "", "", err
		}
		text = pem.EncodeToMemory(block)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", "", err
		}
	} else if err != nil {
		return "", "", err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return "", "", fmt.Errorf("the client key %s cannot be read: %w; remove it, and a new one is made", path, err)
	}
	return path, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

// readyLine is an ssh command that logs in to this server without a prompt. It
// trusts this server's keys only, through a file of known hosts that is written
// here.
func (s *state) readyLine(address net.Addr, hostKeys []ssh.Signer, clientKey string) (string, error) {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	var known strings.Builder
	for _, key := range hostKeys {
		known.WriteString(knownhosts.Line([]string{net.JoinHostPort(host, port)}, key.PublicKey()) + "\n")
	}
	knownHosts := s.path("known_hosts")
	if err := os.WriteFile(knownHosts, []byte(known.String()), 0o600); err != nil {
		return "", err
	}
	words := []string{"ssh", "-F", "none"}
	if clientKey != "" {
		identity := []string{"-i", clientKey}
		if strings.Contains(clientKey, "%") {
			// With -i, ssh looks for the file before it replaces tokens, and
			// after that.
			identity = []string{"-o", "IdentityFile=" + option(clientKey)}
		}
		words = append(append(words, identity...), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none")
	}
	words = append(words, "-o", "UserKnownHostsFile="+option(knownHosts), "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "StrictHostKeyChecking=yes", "-p", port, "berth@"+host)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " "), nil
}

// option writes a path for ssh's own parser of options, which splits at blanks
// and replaces tokens such as %h.
func option(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"") {
		return `"` + strings.ReplaceAll(path, `"`, `\"`) + `"`
	}
	return path
}

// quote quotes a word for a shell.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:@,+%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ownKeyFiles are the caller's own public keys and authorized_keys.
func ownKeyFiles() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(home, ".ssh", "*.pub")) // only fails for a bad pattern
	authorized := filepath.Join(home, ".ssh", "authorized_keys")
	if _, err := os.Stat(authorized); err == nil {
		files = append(files, authorized)
	}
	return files
}

// lockedError says that a server runs with a state directory.
type lockedError struct{ dir string }

func (e *lockedError) Error() string {
	return fmt.Sprintf("another berth uses the state directory %s: stop it, or name another directory with --state-dir", e.dir)
}

func (e *lockedError) Unwrap() error { return errLocked }

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")
