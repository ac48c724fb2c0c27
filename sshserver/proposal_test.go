//go:build unix

package sshserver_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"

	"github.com/berth-ssh/berth/sshserver"
)

// Whoever chooses, every client that has any cipher of the list can connect; and
// the server's choice is the fast one where the client has it.
func TestCipherChoice(t *testing.T) {
	fast := "aes128-gcm@openssh.com"
	if !cpu.X86.HasAES && !cpu.ARM64.HasAES {
		t.Logf("LOUD: this processor has no AES instructions: the client's order counts")
		fast = "chacha20-poly1305@openssh.com"
	}
	for _, c := range []struct {
		choice        sshserver.CipherChoice
		client, wants string
	}{
		{"client", "", "chacha20-poly1305@openssh.com"},
		{"server", "", fast},
		{"auto", "", fast}, // these tests are near
		{"", "", fast},
		{"server", "chacha20-poly1305@openssh.com", "chacha20-poly1305@openssh.com"},
		{"server", "aes256-ctr", "aes256-ctr"},
		{"server", "aes256-ctr,aes256-gcm@openssh.com", "aes256-gcm@openssh.com"},
	} {
		t.Run(string(c.choice)+" "+c.client, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(s *sshserver.Server, toy *toy) {
				s.CipherChoice = c.choice
				exitAtOnce(s, toy)
			})
			args := []string{"-v", "berth", "x"}
			if c.client != "" {
				args = append([]string{"-c", c.client}, args...)
			}
			cmd := h.ssh(args...)
			var log bytes.Buffer
			cmd.Stderr = &log
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, log.String())
			}
			if !strings.Contains(log.String(), "client->server cipher: "+c.wants) || !strings.Contains(log.String(), "server->client cipher: "+c.wants) {
				t.Errorf("another cipher than %s: %s", c.wants, log.String())
			}
		})
	}
}

// patientConn holds back all that a client sends after its identification until
// the server's proposal has come, as some clients might.
type patientConn struct {
	net.Conn
	r     *bufio.Reader
	first sync.Once
	heard chan struct{}
}

func (p *patientConn) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if bytes.Contains(b[:n], []byte("mlkem768x25519")) || err != nil {
		p.first.Do(func() { close(p.heard) })
	}
	return n, err
}

func (p *patientConn) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(b, []byte("SSH-")) {
		<-p.heard
	}
	return p.Conn.Write(b)
}

// A client that waits for the server's proposal gets it all the same.
func TestPatientClient(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, toy *toy) { s.CipherChoice = sshserver.CipherChoiceServer })
	raw, err := net.Dial("tcp", h.addr)
	must(t, err)
	patient := &patientConn{Conn: raw, r: bufio.NewReader(raw), heard: make(chan struct{})}
	conn, chans, reqs, err := ssh.NewClientConn(patient, h.addr, h.clientConfig())
	must(t, err)
	client := ssh.NewClient(conn, chans, reqs)
	defer client.Close()
	out, err := h.session(client).Output("echo hello")
	if string(out) != "hello\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// What does not speak SSH is told so, and ends nothing else.
func TestNoProposal(t *testing.T) {
	h := newHouse(t, func(s *sshserver.Server, _ *toy) { s.CipherChoice = sshserver.CipherChoiceServer })
	for _, said := range []string{"", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n\xff\xff\xff\xff", "SSH-2.0-x\r\n\x00\x00\x00\x02\xff\x14", strings.Repeat("x", 100_000)} {
		raw, err := net.Dial("tcp", h.addr)
		must(t, err)
		go func() { _, _ = io.WriteString(raw, said); _ = raw.(*net.TCPConn).CloseWrite() }()
		_, _ = io.ReadAll(raw)
		_ = raw.Close()
	}
	out, err := h.session(h.dial()).Output("echo hello")
	if string(out) != "hello\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}
