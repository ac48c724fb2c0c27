//go:build unix

package sshserver_test

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/sshserver"
)

// readers is a server whose program "deaf" reads nothing, and whose others are
// run as always.
func readers(t *testing.T, maxUnread int) *house {
	t.Helper()
	return newHouse(t, func(s *sshserver.Server, toy *toy) {
		s.MaxUnread = maxUnread
		toy.hooks.start = func(s *toySession, _, what string, stdin io.Reader, stdout, stderr io.Writer, exit func(sshserver.ExitStatus)) error {
			if what == "deaf" {
				return nil
			}
			return s.run(what, stdin, stdout, stderr, exit)
		}
	})
}

func (h *house) start(client *ssh.Client, program string) (io.WriteCloser, io.Reader) {
	h.t.Helper()
	s := h.session(client)
	stdin, err := s.StdinPipe()
	must(h.t, err)
	stdout, err := s.StdoutPipe()
	must(h.t, err)
	must(h.t, s.Start(program))
	return stdin, stdout
}

// Bytes in packets of their own take fifty times their size; who sends many
// that nobody reads is cut off long before the channel's window is full.
func TestUnreadIsBounded(t *testing.T) {
	const limit = 1 << 20
	h := readers(t, limit)
	client := h.dial()
	stdin, _ := h.start(client, "deaf")
	sent := 0
	for ; sent < 2<<20; sent++ {
		if _, err := stdin.Write([]byte{0}); err != nil {
			break
		}
	}
	// The network holds some that the server has not read.
	if sent < limit/64 || sent > 1<<20 {
		t.Errorf("cut after %d packets", sent)
	}
	waitFor(t, "the end", func() bool { return h.toy.disconnects.Load() == 1 })
	equal(t, "refusals", h.server.Stats().Refusals["maxUnread"], 1)
	if !strings.Contains(h.logs.String(), "has sent too much that no program has read") {
		t.Errorf("log:\n%s", h.logs)
	}
}

// A program that reads nothing keeps no other from an upload of any length, with
// packets of any size.
func TestUnreadIsNoMatterOfOthers(t *testing.T) {
	h := readers(t, 5<<20) // the windows of both, and some
	client := h.dial()
	deaf, _ := h.start(client, "deaf")
	_, err := deaf.Write(make([]byte, 2<<20)) // all of its window
	must(t, err)
	upload, count := h.start(client, "wc -c")
	for range 16 {
		_, err := upload.Write(make([]byte, 1<<20))
		must(t, err)
	}
	must(t, upload.Close())
	counted, err := io.ReadAll(count)
	must(t, err)
	equal(t, "bytes counted", strings.TrimSpace(string(counted)), "16777216")

	small := readers(t, 256<<10)
	client = small.dial()
	deaf, _ = small.start(client, "deaf")
	_, err = deaf.Write(make([]byte, 64<<10))
	must(t, err)
	typed, echo := small.start(client, "cat")
	for range 20_000 { // 720 KB on the network
		_, err := typed.Write([]byte{'x'})
		must(t, err)
		_, err = io.ReadFull(echo, make([]byte, 1))
		must(t, err)
	}
	for _, h := range []*house{h, small} {
		equal(t, "refusals", h.server.Stats().Refusals["maxUnread"], 0)
		equal(t, "disconnects", h.toy.disconnects.Load(), 0)
	}
}

// Extended data from a client has no reader, and does not pile up.
func TestExtendedDataFromAClient(t *testing.T) {
	h := readers(t, 1<<20)
	client := h.dial()
	channel, requests, err := client.OpenChannel("session", nil)
	must(t, err)
	go ssh.DiscardRequests(requests)
	_, err = channel.SendRequest("exec", true, text("cat"))
	must(t, err)
	echo := func() {
		t.Helper()
		_, err = channel.Write([]byte("still here"))
		must(t, err)
		answer := make([]byte, 10)
		_, err = io.ReadFull(channel, answer)
		must(t, err)
		equal(t, "the program", string(answer), "still here")
	}
	echo()
	for range 100_000 { // 3.6 MB on the network
		_, err := channel.Stderr().Write([]byte{0})
		must(t, err)
	}
	_, err = channel.Stderr().Write(make([]byte, 8<<20)) // several windows
	must(t, err)
	echo()
	equal(t, "refusals", h.server.Stats().Refusals["maxUnread"], 0)
}
