package sshserver

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// farewellTimeout is how long a client that is refused has to take in why.
	farewellTimeout = 2 * time.Second
	// maxLingering bounds those who are waited for at the same time.
	maxLingering = 64
	// maxFarewellInput bounds what is read of a client that is refused.
	maxFarewellInput = 64 << 10
)

// farewells tell clients that are refused before they have begun why.
type farewells struct {
	mu        sync.Mutex // for memory only
	closed    bool
	lingering []net.Conn // the first has been there for longest
	all       sync.WaitGroup
}

// say tells a client why it is refused, and closes its connection. It returns at
// once.
func (f *farewells) say(conn net.Conn, version, words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = conn.Close()
		return
	}
	f.all.Go(func() {
		defer func() { _ = conn.Close() }()
		if farewell(conn, version, words) == nil && f.linger(conn) {
			defer f.gone(conn)
			_, _ = io.CopyN(io.Discard, conn, maxFarewellInput)
		}
	})
}

// linger says whether the client is to be waited for. Closing a connection with
// input that nobody has read resets it, and then most systems forget what the
// other side has not read either. Where very many are refused, those who have been
// waited for longest have had their time.
func (f *farewells) linger(conn net.Conn) bool {
	half, ok := conn.(interface{ CloseWrite() error })
	f.mu.Lock()
	if ok = ok && !f.closed; ok {
		if len(f.lingering) == maxLingering {
			_ = f.lingering[0].Close()
			f.lingering = slices.Delete(f.lingering, 0, 1)
		}
		f.lingering = append(f.lingering, conn)
	}
	f.mu.Unlock()
	if ok && half.CloseWrite() != nil {
		f.gone(conn)
		return false
	}
	return ok
}

func (f *farewells) gone(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.lingering, conn); i >= 0 {
		f.lingering = slices.Delete(f.lingering, i, i+1)
	}
}

// close ends the waiting.
func (f *farewells) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, conn := range f.lingering {
		_ = conn.Close()
	}
}

// farewell is a line before the identification (RFC 4253 section 4.2), which
// people with a plain TCP client see, and SSH_MSG_DISCONNECT after it (section
// 11.1), which OpenSSH's shows.
func farewell(conn net.Conn, version, words string) error {
	if err := conn.SetDeadline(time.Now().Add(farewellTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(append([]byte(words+"\r\n"+version+"\r\n"), disconnectPacket(words)...))
	return err
}

// disconnectPacket is SSH_MSG_DISCONNECT with SSH_DISCONNECT_TOO_MANY_CONNECTIONS,
// as a packet without encryption (RFC 4253 section 6).
func disconnectPacket(words string) []byte {
	const tooManyConnections, block, minPadding = 12, 8, 4
	payload := ssh.Marshal(struct {
		Reason          uint32 `sshtype:"1"`
		Words, Language string
	}{tooManyConnections, words, "en"})
	padding := block - (4+1+len(payload))%block
	if padding < minPadding {
		padding += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	return append(packet, make([]byte, padding)...)
}
