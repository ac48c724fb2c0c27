package sshserver_test

import (
	"io"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
)

func TestOpenSSHExec(t *testing.T) {
	h := newHouse(t, nil)
	// Hazard 1: the end of standard input is not the end of the program.
	// Hazard 5: stdout and stderr stay apart.
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

func TestOpenSSHRefusalIsShown(t *testing.T) {
	h := newHouse(t, func(_ *sshserver.Server, toy *toy) {
		toy.hooks.start = func(*toySession, string, string, io.Reader, io.Writer, io.Writer, func(sshserver.ExitStatus)) error {
			return userError{words: "The image is gone.", cause: "secret"}
		}
	})
	for _, args := range [][]string{{"-T", "berth"}, {"berth", "true"}, {"-s", "berth", "sftp"}} {
		got := h.run(h.ssh(args...))
		t.Logf("%q: %+v", args, got)
	}
}
