package sshserver

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// CipherChoice says who chooses the cipher.
//
// By the protocol the client does: the first cipher of its list that the server
// offers is taken (RFC 4253 section 7.1). Stock OpenSSH puts ChaCha20 first,
// which costs a server several times as much as AES-GCM on a processor with AES
// instructions. A server that has seen the client's proposal can leave out of its
// own what is slower. That takes nothing away from any client, but the server's
// proposal comes later by up to one round trip.
type CipherChoice string

const (
	// CipherChoiceAuto is CipherChoiceServer for clients that are near, where a
	// round trip costs nothing and throughput counts, and CipherChoiceClient for
	// the others. It is the default.
	CipherChoiceAuto CipherChoice = "auto"
	// CipherChoiceServer waits for the client's proposal, and offers AES-GCM
	// only to clients that have it.
	CipherChoiceServer CipherChoice = "server"
	// CipherChoiceClient offers all ciphers at once.
	CipherChoiceClient CipherChoice = "client"
)

// Values lists the choices that exist.
func (CipherChoice) Values() []string {
	return []string{string(CipherChoiceAuto), string(CipherChoiceServer), string(CipherChoiceClient)}
}

const (
	// nearRoundTrip is how far away a client may be to be near.
	nearRoundTrip = 5 * time.Millisecond
	// proposalTimeout is how long a client's proposal is waited for: there may be
	// clients that wait for the server's.
	proposalTimeout = 200 * time.Millisecond
	// maxIdentification and maxProposal bound what is read ahead (RFC 4253
	// sections 4.2 and 6.1).
	maxIdentification = 255
	maxProposal       = 35000
)

// fastCiphers are those that the processor's instructions make fast.
var fastCiphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}

// hasAES says whether the processor has instructions for AES-GCM.
var hasAES = cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL

// choosesCipher says whether the client's proposal is to be seen first.
func (c CipherChoice) choosesCipher(conn net.Conn) bool {
	switch c {
	case CipherChoiceServer:
		return hasAES
	case CipherChoiceClient:
		return false
	}
	rtt, ok := roundTrip(conn)
	return hasAES && ok && rtt <= nearRoundTrip
}

// earlyConn is a connection on which the server's identification has been sent,
// and what the client has sent first has been read, before the protocol begins.
type earlyConn struct {
	*transport
	// said is what the protocol will write first, and what has been written.
	said []byte
	// heard is what the protocol has not read yet.
	heard []byte
}

// seeProposal sends the server's identification, and waits for the client's
// proposal. The ciphers are nil if none has come in time: whatever is wrong, the
// protocol will find it.
func seeProposal(t *transport, version string) (*earlyConn, []string, error) {
	c := &earlyConn{transport: t, said: []byte(version + "\r\n")}
	if _, err := t.Write(c.said); err != nil {
		return nil, nil, err
	}
	if err := t.SetReadDeadline(time.Now().Add(proposalTimeout)); err != nil {
		return nil, nil, err
	}
	buf := make([]byte, 4096)
	for {
		// Not the transport's own Read: running out of time is no failure here.
		n, err := t.Conn.Read(buf)
		if n > 0 {
			t.seen()
		}
		c.heard = append(c.heard, buf[:n]...)
		ciphers, more := parseProposal(c.heard)
		if err != nil || !more {
			return c, ciphers, nil
		}
	}
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.heard) > 0 {
		n := copy(p, c.heard)
		if c.heard = c.heard[n:]; len(c.heard) == 0 {
			c.heard = nil
		}
		return n, nil
	}
	return c.transport.Read(p)
}

func (c *earlyConn) Write(p []byte) (int, error) {
	if c.said != nil {
		said := c.said
		c.said = nil
		if rest, ok := bytes.CutPrefix(p, said); ok {
			if len(rest) == 0 {
				return len(p), nil
			}
			n, err := c.transport.Write(rest)
			return len(said) + n, err
		}
	}
	return c.transport.Write(p)
}

// parseProposal finds the ciphers in the beginning of what a client sends: its
// identification, and SSH_MSG_KEXINIT (RFC 4253 section 7.1). more says that it
// is not complete yet.
func parseProposal(heard []byte) (ciphers []string, more bool) {
	line := bytes.IndexByte(heard, '\n')
	if line < 0 {
		return nil, len(heard) <= maxIdentification
	}
	if line > maxIdentification || !bytes.HasPrefix(heard, []byte("SSH-2.0-")) {
		return nil, false
	}
	packet := heard[line+1:]
	if len(packet) < 4 {
		return nil, true
	}
	length := binary.BigEndian.Uint32(packet)
	if length < 2 || length > maxProposal {
		return nil, false
	}
	packet = packet[4:]
	if uint64(len(packet)) < uint64(length) {
		return nil, true
	}
	packet = packet[:length]
	padding, payload := int(packet[0]), packet[1:]
	const kexInit, cookie = 20, 16
	if len(payload) < padding+1+cookie || payload[0] != kexInit {
		return nil, false
	}
	c := cursor{rest: payload[1+cookie : len(payload)-padding]}
	c.text("key exchanges")
	c.text("host keys")
	toServer, toClient := c.text("ciphers to the server"), c.text("ciphers to the client")
	if c.err != nil {
		return nil, false
	}
	// A cipher is of use if it is good for both directions.
	back := strings.Split(toClient, ",")
	for _, name := range strings.Split(toServer, ",") {
		if name != "" && slices.Contains(back, name) {
			ciphers = append(ciphers, name)
		}
	}
	return ciphers, false
}

// fasterFor leaves out of the offered ciphers what is slower than AES-GCM, if the
// client has that.
func fasterFor(client, offered []string) []string {
	var fast []string
	for _, name := range offered {
		if slices.Contains(fastCiphers, name) && slices.Contains(client, name) {
			fast = append(fast, name)
		}
	}
	if fast == nil {
		return offered
	}
	return fast
}
