package agentproto

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever a message says, it is parsed or refused; and what is parsed says the
// same when it is written again.
func FuzzMessage(f *testing.F) {
	for _, m := range []message{
		&Start{Kind: KindArgv, Argv: []string{"a", ""}, Env: []string{"A=b"}, Terminal: &Terminal{"xterm", Size{1, 2, 3, 4}, "\x00"}},
		&stdio{}, &resize{Size{1, 2, 3, 4}}, &signal{"TERM"}, &inputEnd{}, &started{1}, &Refusal{ReasonNotFound, "no"}, &Exit{3, "SEGV", true},
		&dial{"u", Address{Network: "tcp", Host: "::1", Port: 22}}, &connected{}, &listen{"", Address{Network: "unix", Path: "/s"}},
		&listening{Address{Network: "tcp"}}, &accepted{7, Address{Network: "tcp"}},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMessage(bytes.NewReader(data), maxToAgent, &Start{}, &stdio{}, &resize{}, &signal{}, &inputEnd{}, &started{}, &Refusal{},
			&Exit{}, &dial{}, &connected{}, &listen{}, &listening{}, &accepted{})
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeMessage(&b, m); err != nil || !bytes.HasPrefix(data, b.Bytes()) {
			t.Errorf("%x was read as %+v, which is written as %x", data, m, b.Bytes())
		}
	})
}

// hostile is a stream whose other end says something that was made up.
type hostile struct {
	net.Conn
	said *bytes.Reader
}

func (h hostile) Read(b []byte) (int, error)  { return h.said.Read(b) }
func (h hostile) Write(b []byte) (int, error) { return len(b), nil }
func (h hostile) Close() error                { return nil }

// A container that says anything at all does the server no harm: whatever was
// begun comes to an end.
func FuzzClient(f *testing.F) {
	yamuxFrame := func(kind, flags, stream, length byte) string {
		return string([]byte{0, kind, 0, flags, 0, 0, 0, stream, 0, 0, 0, length})
	}
	f.Add(yamuxFrame(1, 1, 2, 0) + yamuxFrame(0, 0, 2, 5) + "\x00\x00\x00\x01\x05")
	f.Add(yamuxFrame(1, 2, 1, 0) + yamuxFrame(0, 0, 7, 9) + "\x00\x00\x00\x05\x20\x00\x00\x00\x01")
	f.Add(yamuxFrame(2, 1, 0, 1) + yamuxFrame(3, 0, 0, 0))
	f.Fuzz(func(t *testing.T, said string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := Connect(ctx, hostile{said: bytes.NewReader([]byte("\x00BERTH\x00\x01\x00\x01" + said))})
		if err != nil {
			return
		}
		defer c.Close()
		s, err := c.Start(ctx, Start{})
		if err == nil {
			_, _ = io.Copy(io.Discard, s.Stdout())
			_, _ = s.Wait(ctx)
			_ = s.Close()
		}
		if ctx.Err() != nil {
			t.Error("a made-up stream that has ended was waited for")
		}
	})
}

// FuzzServe is the same at the agent's end.
func FuzzServe(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, said []byte) {
		stream := hostile{said: bytes.NewReader(append([]byte("\x00BERTH\x00\x01\x00\x01"), said...))}
		_ = Serve(t.Context(), stream, guest{echo})
	})
}
