package sshserver

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestParse(t *testing.T) {
	pty := ssh.Marshal(struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}{"xterm", 80, 24, 640, 480, "\x00"})
	got, err := parsePty(pty)
	want := ptyPayload{"xterm", windowPayload{80, 24, 640, 480}, []byte{0}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("pty: %+v, %v", got, err)
	}
	env, err := parseEnv(ssh.Marshal(struct{ Name, Value string }{"A", "b=c"}))
	if err != nil || env != (envPayload{"A", "b=c"}) {
		t.Errorf("env: %+v, %v", env, err)
	}
	if n, err := parseBreak([]byte{0, 0, 1, 0}); err != nil || n != 256 {
		t.Errorf("break: %d, %v", n, err)
	}
	// Every proper prefix and every tail is an error.
	for i := range len(pty) {
		if _, err := parsePty(pty[:i]); err == nil {
			t.Errorf("a prefix of %d bytes passes", i)
		}
	}
	if _, err := parsePty(append(pty, 0)); err == nil {
		t.Error("a tail passes")
	}
	if err := parseNothing([]byte{0}); err == nil {
		t.Error("something passes as nothing")
	}
	if _, err := parseText("command", []byte{0xff, 0xff, 0xff, 0xff, 'a'}); err == nil {
		t.Error("a length beyond the payload passes")
	}
}

// What parses is exactly what its value encodes to: nothing is skipped and
// nothing is made up.

func FuzzParsePty(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := parsePty(payload)
		if err != nil {
			return
		}
		again := ssh.Marshal(struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        []byte
		}{p.term, p.size.columns, p.size.rows, p.size.width, p.size.height, p.modes})
		if !bytes.Equal(again, payload) {
			t.Errorf("%x became %x", payload, again)
		}
	})
}

func FuzzParseEnv(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := parseEnv(payload)
		if err != nil {
			return
		}
		if again := ssh.Marshal(struct{ Name, Value string }{p.name, p.value}); !bytes.Equal(again, payload) {
			t.Errorf("%x became %x", payload, again)
		}
	})
}

func FuzzParseWindow(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := parseWindow(payload)
		if err != nil {
			return
		}
		again := ssh.Marshal(struct{ A, B, C, D uint32 }{p.columns, p.rows, p.width, p.height})
		if !bytes.Equal(again, payload) {
			t.Errorf("%x became %x", payload, again)
		}
	})
}

func FuzzParseText(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := parseText("text", payload)
		if err != nil {
			return
		}
		if again := ssh.Marshal(struct{ S string }{s}); !bytes.Equal(again, payload) {
			t.Errorf("%x became %x", payload, again)
		}
	})
}

func FuzzParseBreak(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		n, err := parseBreak(payload)
		if err != nil {
			return
		}
		if again := binary.BigEndian.AppendUint32(nil, n); !bytes.Equal(again, payload) {
			t.Errorf("%x became %x", payload, again)
		}
	})
}

func FuzzParseForward(f *testing.F) {
	f.Add(ssh.Marshal(struct {
		Host       string
		Port       uint32
		Originator string
		From       uint32
	}{"::1", 22, "127.0.0.1", 1}))
	f.Add(ssh.Marshal(struct {
		Path, Reserved string
		Zero           uint32
	}{"/s", "", 0}))
	f.Add(ssh.Marshal(struct {
		Single           bool
		Protocol, Cookie string
		Screen           uint32
	}{true, "MIT-MAGIC-COOKIE-1", "00ff", 0}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var again []byte
		if p, err := parseDialTCP(payload); err == nil {
			again = ssh.Marshal(struct {
				Host       string
				Port       uint32
				Originator string
				From       uint32
			}{p.to.Host, p.to.Port, p.from.Host, p.from.Port})
			if p.to.Port > 65535 || !bytes.Equal(again, payload) {
				t.Errorf("direct-tcpip: %x became %x", payload, again)
			}
		}
		if p, err := parseDialUnix(payload); err == nil && (p.to.Path == "" || bytes.IndexByte([]byte(p.to.Path), 0) >= 0) {
			t.Errorf("direct-streamlocal: the path %q", p.to.Path)
		}
		if a, err := parseListenTCP(payload); err == nil {
			again = ssh.Marshal(struct {
				Host string
				Port uint32
			}{a.Host, a.Port})
			if !bytes.Equal(again, payload) {
				t.Errorf("tcpip-forward: %x became %x", payload, again)
			}
		}
		if a, err := parseListenUnix(payload); err == nil && a.Path == "" {
			t.Error("streamlocal-forward: no path")
		}
		if x, err := parseX11(payload); err == nil {
			again = ssh.Marshal(struct {
				Single           bool
				Protocol, Cookie string
				Screen           uint32
			}{x.Single, x.Protocol, x.Cookie, x.Screen})
			// All but 0 is true.
			if !bytes.Equal(again[1:], payload[1:]) {
				t.Errorf("x11-req: %x became %x", payload, again)
			}
		}
	})
}

// What is read ahead is the client's own list, or nothing.
func FuzzParseProposal(f *testing.F) {
	kexInit := ssh.Marshal(struct {
		Kind                                      byte
		Cookie                                    [16]byte
		Kex, HostKeys, ToServer, ToClient, M1, M2 []string
		C1, C2, L1, L2                            []string
		Follows                                   bool
		Reserved                                  uint32
	}{Kind: 20, ToServer: []string{"a", "b"}, ToClient: []string{"b", "c"}})
	packet := binary.BigEndian.AppendUint32([]byte("SSH-2.0-x\r\n"), uint32(len(kexInit)+5))
	packet = append(append(append(packet, 4), kexInit...), 0, 0, 0, 0)
	if ciphers, more := parseProposal(packet); more || len(ciphers) != 1 || ciphers[0] != "b" {
		f.Fatalf("%q, %v", ciphers, more)
	}
	for i := range packet {
		if ciphers, more := parseProposal(packet[:i]); !more || ciphers != nil {
			f.Fatalf("the first %d bytes: %q, %v", i, ciphers, more)
		}
	}
	f.Add(packet)
	f.Add([]byte("SSH-2.0-x\n\x00\x00\x00\x02\xff\x14"))
	f.Fuzz(func(t *testing.T, heard []byte) {
		ciphers, more := parseProposal(heard)
		if more && ciphers != nil || len(heard) > maxIdentification+maxProposal+8 && more {
			t.Errorf("%q, %v", ciphers, more)
		}
	})
}
