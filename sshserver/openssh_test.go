//go:build unix

package sshserver_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
	"golang.org/x/crypto/ssh"
)

// The tests in this file let the OpenSSH client say what works.

func TestOpenSSHExec(t *testing.T) {
	h := newHouse(t, nil)
	// Hazard 1: the end of standard input is not the end of the program.
	// Hazard 4: half-close. Hazard 5: stdout and stderr stay apart.
	for _, c := range []struct {
		command, stdin string
		want           result
	}{
		{"exit 0", "", result{"", "", 0}},
		{"exit 3", "", result{"", "", 3}},
		{"cat >/dev/null; echo done; exit 3", "", result{"done\n", "", 3}},
		{"cat; echo end", "abc\n", result{"abc\nend\n", "", 0}},
		{"echo out; echo err >&2; exit 42", "", result{"out\n", "err\n", 42}},
		{"kill -KILL $$", "", result{"", "", 255}}, // ssh's code for a signal
		{" ", "", result{"", "", 0}},
		{"", "echo shell; exit 7\n", result{"shell\n", "", 7}},
	} {
		args := []string{"-T", "berth"}
		if c.command != "" {
			args = append(args, c.command)
		}
		cmd := h.ssh(args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		if got := h.run(cmd); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.command, got, c.want)
		}
	}
}

// Hazard 3: byte-exact in both directions, and with a client that reads slowly.
func TestOpenSSHBulk(t *testing.T) {
	h := newHouse(t, nil)
	data := make([]byte, 50<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	want := sha256.Sum256(data)

	cmd := h.ssh("berth", "cat")
	cmd.Stdin = bytes.NewReader(data)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	hash := sha256.New()
	_, err = io.Copy(hash, stdout)
	must(t, err)
	must(t, cmd.Wait())
	equal(t, "hash", hex.EncodeToString(hash.Sum(nil)), hex.EncodeToString(want[:]))

	// Output of a program that ends long before its output has been read, by a
	// client that takes a few bytes at a time.
	cmd = h.ssh("berth", "head -c 3000000 /dev/zero; exit 9")
	stdout, err = cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	n, buf := 0, make([]byte, 777)
	for {
		m, err := stdout.Read(buf)
		n += m
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	equal(t, "bytes", n, 3000000)
	equal(t, "code", cmd.ProcessState.ExitCode(), 9)
}

// Hazard 2: all output, then exit-status or exit-signal, then EOF, then CLOSE.
// A client that stops listening at the end of file would report a success.
// The client's own packet log shows the order on the wire. Also: nothing comes
// before the answer to the request.
func TestOpenSSHOrderOfTheEnd(t *testing.T) {
	h := newHouse(t, nil)
	received := regexp.MustCompile(`receive packet: type (9\d)|rtype (\S+)`)
	for _, command := range []string{"true", "echo out; echo err >&2; exit 5", "head -c 100000 /dev/zero; kill -TERM $$"} {
		got := h.run(h.ssh("-vvv", "berth", command))
		var types []string
		for _, m := range received.FindAllStringSubmatch(got.stderr, -1) {
			switch {
			case m[1] != "":
				types = append(types, m[1])
			case m[2] == "keepalive@openssh.com":
				types = types[:len(types)-1] // see input.Read
			}
		}
		// 91 open confirmed, 93 window, 99 success, 94 and 95 data, 98 request,
		// 96 EOF, 97 CLOSE (RFC 4250 section 4.1.2).
		order := regexp.MustCompile(`^91 (93 )*99 ((94|95|93) )*98 96 97$`)
		if line := strings.Join(types, " "); !order.MatchString(line) {
			t.Errorf("%q: order on the wire: %s", command, line)
		}
	}
}

// A handler may write and report the exit before its method has returned; the
// answer to the request still comes first.
func TestOutputBeforeTheStartReturns(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.start = func(_ *toySession, _, _ string, _ io.Reader, stdout, _ io.Writer, exit func(sshserver.ExitStatus)) error {
			fmt.Fprint(stdout, "early\n")
			exit(sshserver.ExitStatus{Code: 4})
			return nil
		}
	})
	if got, want := h.run(h.ssh("berth", "x")), (result{"early\n", "", 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Words for the user reach the user, every time: a plain refusal would lose
// them in most cases, since ssh ends before it prints them.
func TestOpenSSHShowsRefusals(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.start = func(_ *toySession, _, what string, _ io.Reader, _, _ io.Writer, _ func(sshserver.ExitStatus)) error {
			if what == "silent" {
				return errors.New("secret")
			}
			return userError{words: "The image is gone.", cause: "secret"}
		}
	})
	for range 10 {
		for _, args := range [][]string{{"-T", "berth"}, {"berth", "true"}} {
			if got, want := h.run(h.ssh(args...)), (result{"", "The image is gone.\r\n", 255}); got != want {
				t.Errorf("%q: got %+v, want %+v", args, got, want)
			}
		}
	}
	got := h.run(h.ssh("-s", "berth", "sftp"))
	if got.code != 255 || !strings.Contains(got.stderr, "subsystem request failed") || strings.Contains(got.stderr, "secret") {
		t.Errorf("subsystem: %+v", got)
	}
	got = h.run(h.ssh("berth", "silent"))
	if got.code != 255 || !strings.Contains(got.stderr, "exec request failed") || strings.Contains(got.stderr, "secret") {
		t.Errorf("no words: %+v", got)
	}
}

func TestOpenSSHShowsRejectedChannelsAndLogins(t *testing.T) {
	rejected := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.open = func(uint64) error {
			return &sshserver.ChannelRejection{Reason: sshserver.Prohibited, Message: "no room", Err: errors.New("secret")}
		}
	})
	refused := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.login = func(string) error { return userError{words: "no boat", cause: "secret"} }
	})
	for h, words := range map[*house]string{rejected: "no room", refused: "no boat"} {
		got := h.run(h.ssh("berth", "true"))
		if got.code != 255 || !strings.Contains(got.stderr, words) || strings.Contains(got.stderr, "secret") {
			t.Errorf("%q: %+v", words, got)
		}
		if logs := h.logs.String(); !strings.Contains(logs, "secret") {
			t.Errorf("the log lacks the cause:\n%s", logs)
		}
	}
}

func TestOpenSSHRequests(t *testing.T) {
	h := newHouse(t, nil)
	cmd := h.ssh("-tt", "-o", "SendEnv=BERTH_*", "-o", "SetEnv=FOO=\"bar baz\"", "berth", "echo $BERTH_A-$FOO")
	cmd.Env = append(cmd.Env, "BERTH_A=one", "TERM=vt220")
	got := h.run(cmd)
	equal(t, "stdout", got.stdout, "one-bar baz\n")
	equal(t, "stderr", got.stderr, "Connection to 127.0.0.1 closed.\r\n")
	all := strings.Join(h.toy.log(), "\n")
	for _, want := range []string{"env BERTH_A=one", "env FOO=bar baz", "pty vt220 0x0 0x0 modes=true"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

func TestOpenSSHControlMaster(t *testing.T) {
	h := newHouse(t, nil)
	socket := filepath.Join(h.dir, "mux")
	master := h.ssh("-M", "-S", socket, "-N", "berth")
	must(t, master.Start())
	waitFor(t, "the control socket", func() bool { _, err := os.Stat(socket); return err == nil })
	var sessions sync.WaitGroup
	for i := range 20 {
		sessions.Go(func() {
			cmd := h.ssh("-S", socket, "berth", fmt.Sprintf("cat; exit %d", i+1))
			cmd.Stdin = strings.NewReader(strings.Repeat(fmt.Sprint(i), 50000))
			got := h.run(cmd)
			if got.stdout != strings.Repeat(fmt.Sprint(i), 50000) || got.code != i+1 {
				t.Errorf("session %d: code %d, %d bytes, %q", i, got.code, len(got.stdout), got.stderr)
			}
		})
	}
	sessions.Wait()
	h.run(h.ssh("-S", socket, "-O", "exit", "berth"))
	_ = master.Wait()
	equal(t, "connections", h.toy.connections.Load(), 1)
	equal(t, "sessions", h.toy.opens.Load(), 20)
}

// The client's own words that nobody reads standard output any more end the
// program. OpenSSH says them to servers only that call themselves OpenSSH.
func TestOpenSSHBrokenPipe(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.ServerVersion = "SSH-2.0-OpenSSH_9.2-Berth" })
	cmd := h.ssh("berth", "yes")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.ReadFull(stdout, make([]byte, 2))
	must(t, err)
	must(t, stdout.Close())
	_ = cmd.Wait() // would wait for ever
}

func TestOpenSSHPasswordAndPrompts(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.AuthMethods = []string{"password", "keyboard-interactive"}
		s.Banner = "Mind the gap"
		toy.hooks.password = func(user string, password []byte) (sshserver.AuthResponse, error) {
			if user == "alice" && string(password) == "tr0ub4dor" {
				return sshserver.AuthResponseSuccess, nil
			}
			return sshserver.AuthResponseFailure, errors.New("wrong password")
		}
		toy.hooks.keyboard = func(_ string, ask sshserver.Challenge) (sshserver.AuthResponse, error) {
			answers, err := ask("Two steps", []sshserver.Question{{Prompt: "Color? ", Echo: true}, {Prompt: "Code? "}})
			if err != nil {
				return sshserver.AuthResponseFailure, err
			}
			if strings.Join(answers, " ") == "tr0ub4dor tr0ub4dor" {
				return sshserver.AuthResponseSuccess, nil
			}
			return sshserver.AuthResponseFailure, nil
		}
	})
	askpass := func(method, answer string) result {
		script := h.path("askpass-" + answer)
		must(t, os.WriteFile(script, []byte("#!/bin/sh\necho "+answer+"\n"), 0o700))
		cmd := h.ssh("-o", "PreferredAuthentications="+method, "-o", "NumberOfPasswordPrompts=1", "berth", "echo in")
		cmd.Env = append(cmd.Env, "SSH_ASKPASS="+script, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0")
		return h.run(cmd)
	}
	for _, method := range []string{"password", "keyboard-interactive"} {
		got := askpass(method, "tr0ub4dor")
		if got.stdout != "in\n" || got.code != 0 || !strings.Contains(got.stderr, "Mind the gap\r\n") {
			t.Errorf("%s: %+v", method, got)
		}
		got = askpass(method, "xyzzy")
		if got.code != 255 || !strings.Contains(got.stderr, "Permission denied (") {
			t.Errorf("%s, wrong: %+v", method, got)
		}
		// Only what is configured is offered.
		if !strings.Contains(got.stderr, "(password,keyboard-interactive)") {
			t.Errorf("methods offered: %s", got.stderr)
		}
	}
	for _, secret := range []string{"tr0ub4dor", "xyzzy"} {
		if strings.Contains(h.logs.String(), secret) {
			t.Errorf("a password is in the log")
		}
	}
}

// Hazard 24: every cipher, MAC and key exchange that both sides know works, and
// the server offers nothing with SHA-1.
func TestOpenSSHAlgorithms(t *testing.T) {
	rsaText, err := sshserver.GenerateHostKey(sshserver.HostKeyRSA)
	must(t, err)
	ecdsaText, err := sshserver.GenerateHostKey(sshserver.HostKeyECDSA)
	must(t, err)
	h := newHouse(t, func(s *sshserver.Server, _ *toy) {
		for _, text := range [][]byte{rsaText, ecdsaText} {
			key, err := sshserver.ParseHostKey(text)
			must(t, err)
			s.HostKeys = append(s.HostKeys, key)
		}
	})
	var known bytes.Buffer
	for _, key := range h.server.HostKeys {
		fmt.Fprintf(&known, "[127.0.0.1]:%s %s", h.port(), ssh.MarshalAuthorizedKey(key.PublicKey()))
	}
	must(t, os.WriteFile(h.path("known_hosts"), known.Bytes(), 0o600))

	offered := h.run(h.ssh("-vv", "berth", "true")).stderr
	_, offered, _ = strings.Cut(offered, "peer server KEXINIT proposal")
	offered, _, _ = strings.Cut(offered, "kex: algorithm:")
	if !strings.Contains(offered, "KEX algorithms: mlkem768x25519-sha256,curve25519-sha256,") ||
		!strings.Contains(offered, "host key algorithms: ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-") {
		t.Errorf("offered:\n%s", offered)
	}
	for _, weak := range []string{"sha1", "ssh-rsa", "ssh-dss", "cbc", "group"} {
		if strings.Contains(offered, weak) {
			t.Errorf("%s is offered:\n%s", weak, offered)
		}
	}

	def := sshserver.DefaultAlgorithms()
	for option, c := range map[string]struct {
		query string
		names []string
		extra []string
	}{
		"Ciphers":           {"cipher", def.Ciphers, nil},
		"MACs":              {"mac", def.MACs, []string{"-o", "Ciphers=aes128-ctr"}},
		"KexAlgorithms":     {"kex", def.KeyExchanges, nil},
		"HostKeyAlgorithms": {"key-sig", []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"}, nil},
	} {
		list, err := exec.Command("ssh", "-Q", c.query).Output()
		must(t, err)
		tried := 0
		for _, name := range c.names {
			if !strings.Contains("\n"+string(list), "\n"+name+"\n") {
				continue // unknown to this client
			}
			tried++
			got := h.run(h.ssh(append(c.extra, "-o", option+"="+name, "berth", "echo in")...))
			if got.stdout != "in\n" {
				t.Errorf("%s=%s: %+v", option, name, got)
			}
		}
		if tried == 0 {
			t.Errorf("%s: no name is known to the client", option)
		}
	}
	// mlkem768x25519 is younger than some clients; the library's has it.
	config := h.clientConfig()
	config.HostKeyAlgorithms = []string{ssh.KeyAlgoED25519}
	config.KeyExchanges = []string{ssh.KeyExchangeMLKEM768X25519}
	client, err := ssh.Dial("tcp", h.addr, config)
	must(t, err)
	must(t, client.Close())
}

// The end of a client that is killed is a close, never an end of file: half an
// upload must not look like a whole one.
func TestOpenSSHKilledInAnUpload(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		h := newHouse(t, nil)
		cmd := h.ssh("berth", "cat >/dev/null; sleep 1000")
		stdin, err := cmd.StdinPipe()
		must(t, err)
		must(t, cmd.Start())
		_, err = stdin.Write(make([]byte, 100000))
		must(t, err)
		waitFor(t, "the program", func() bool { return strings.Contains(strings.Join(h.toy.log(), "\n"), "started cat") })
		must(t, cmd.Process.Signal(signal))
		_ = cmd.Wait()
		waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
		waitFor(t, "the end of stdin", func() bool { return strings.Contains(strings.Join(h.toy.log(), "\n"), "stdin ended") })
		if all := strings.Join(h.toy.log(), "\n"); strings.Contains(all, "stdin ended: <nil>") {
			t.Errorf("%v: standard input ended as if by the client:\n%s", signal, all)
		}
		equal(t, "closes", h.toy.closes.Load(), 1)
	}
}
