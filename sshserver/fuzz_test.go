package sshserver

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// What a client shows as its key becomes one line of an authorized_keys file
// that says the same key.
func FuzzKeyLine(f *testing.F) {
	f.Add(testKey(f).PublicKey().Marshal())
	f.Add(ssh.Marshal(struct {
		Kind string
		Key  []byte
	}{ssh.KeyAlgoED25519, bytes.Repeat([]byte{'\n'}, 32)}))
	f.Fuzz(func(t *testing.T, wire []byte) {
		key, err := ssh.ParsePublicKey(wire)
		if err != nil {
			return
		}
		line := keyLine(key)
		if strings.ContainsAny(line, "\r\n") {
			t.Errorf("%x became several lines: %q", wire, line)
		}
		same, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || comment != "" || options != nil || len(rest) > 0 || !bytes.Equal(same.Marshal(), key.Marshal()) {
			t.Errorf("%x became %q: %v", wire, line, err)
		}
	})
}

// Whatever a client says before it has logged in, the server answers what it
// should, ends the connection, and lives.
func FuzzStranger(f *testing.F) {
	for _, said := range []string{
		"", "\r\n", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "SSH-1.5-x\r\n", "hello\nSSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14",
		"SSH-2.0-x\r\n\xff\xff\xff\xff", "SSH-2.0-x\r\n\x00\x00\x00\x02\xff\x14", "SSH-2.0-x\r\n" + string(disconnectPacket("bye")),
	} {
		f.Add([]byte(said), true)
	}
	handler := strangers{}
	server := &Server{Handler: handler, HostKeys: []ssh.Signer{testKey(f)}, MaxStartups: Startups{Start: -1}}
	settings, err := server.settings()
	if err != nil {
		f.Fatal(err)
	}
	admission := newAdmission(settings, &server.tally)
	f.Fuzz(func(t *testing.T, said []byte, wait bool) {
		settings := *settings
		settings.cipherChoice = CipherChoiceClient
		if wait {
			settings.cipherChoice = CipherChoiceServer
		}
		near, far := net.Pipe()
		place, refusal := admission.enter(near.RemoteAddr())
		if refusal != nil {
			t.Fatal(refusal.words)
		}
		c := newConnection(near, place, &settings, &server.tally)
		go func() {
			_, _ = far.Write(said)
			_ = far.Close()
		}()
		heard := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(far)
			heard <- all
		}()
		over := make(chan struct{})
		c.serve(func() { close(over) })
		<-over
		place.leave(c.offence)
		if all := <-heard; len(all) > 0 && !bytes.HasPrefix([]byte("SSH-2.0-Berth\r\n"), all[:min(len(all), 15)]) {
			t.Errorf("the server began with %q", all)
		}
		if startups, _ := admission.state(); startups != 0 {
			t.Errorf("%d connections are left", startups)
		}
	})
}

// strangers is a handler that lets nobody in.
type strangers struct{ NetworkConnectionHandler }

func (s strangers) OnNetworkConnection(net.TCPAddr, string) (NetworkConnectionHandler, error) {
	return s, nil
}
func (strangers) OnHandshakeFailed(error) {}
func (strangers) OnDisconnect()           {}
func (strangers) OnAuthPubKey(string, string) (AuthResponse, error) {
	return AuthResponseFailure, nil
}
func (strangers) OnHandshakeSuccess(string) (SSHConnectionHandler, error) {
	panic("somebody has logged in")
}
