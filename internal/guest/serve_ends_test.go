//go:build linux

package guest_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/agentproto"
)

// A terminal's last output comes however slowly the client takes it, also when
// the program has long ended.
func TestServeTerminalSlowClient(t *testing.T) {
	c, _ := serving(t)
	file := filepath.Join(t.TempDir(), "pid")
	// The stream takes 256 KiB without a reader, and the terminal some more.
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Terminal: &agentproto.Terminal{},
		Command: "stty raw; echo $$ >" + file + "; head -c 272000 /dev/zero; printf 'the end'"})
	defer s.Close()
	waitFor(t, "the program's end", func() bool {
		pid, err := os.ReadFile(file)
		return err == nil && len(pid) > 0 && !exists("/proc/"+strings.TrimSpace(string(pid)))
	})
	// Whoever waits for the program's end gets some time for it.
	finish(t, begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Command: "sleep 0.3"}), "")
	got, err := io.ReadAll(s.Stdout())
	if err != nil || len(got) != 272_000+len("the end") || !bytes.HasSuffix(got, []byte("the end")) {
		t.Errorf("%d bytes came, error %v", len(got), err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A session that breaks off is not the end of its program's input: who got a
// part must not take it for the whole.
func TestServeBrokenInput(t *testing.T) {
	c, _ := serving(t)
	whole := filepath.Join(t.TempDir(), "whole")
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Shell: []string{"/bin/bash"},
		Command: "trap '' HUP TERM; echo ready; cat >/dev/null; echo >" + whole})
	(&lineReader{s.Stdout()}).expect(t, "ready")
	_ = s.Close()
	waitFor(t, "the program's end", func() bool { return !alive(whole) })
	if exists(whole) {
		t.Error("the program has seen the end of its input")
	}
}

// A program whose output nobody reads any more is told so.
func TestServeClosedOutput(t *testing.T) {
	c, _ := serving(t)
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Shell: []string{"/bin/bash"}, Command: "exec yes"})
	defer s.Close()
	(&lineReader{s.Stdout()}).expect(t, "y")
	s.CloseStdout()
	if exit, err := s.Wait(t.Context()); err != nil || exit.Signal != "PIPE" {
		t.Errorf("exit %+v, error %v", exit, err)
	}
}

// A user who can't enter the home gets in all the same, as with sshd.
func TestServeClosedHome(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("LOUD: becoming another user needs root")
	}
	c, _ := serving(t)
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	got := finish(t, begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Command: "pwd", User: "daemon", Dir: closed, Shell: []string{"/bin/sh"}}), "")
	if got.stdout != "/\n" {
		t.Errorf("%+v", got)
	}
}

// A long message of the day comes whole, and before all that the shell says.
func TestServeMessageOfTheDay(t *testing.T) {
	if os.Getuid() != 0 || !exists("/etc/motd") {
		t.Skip("LOUD: putting another message in place of /etc/motd needs root, and that there is one")
	}
	motd := filepath.Join(t.TempDir(), "motd")
	if err := os.WriteFile(motd, bytes.Repeat([]byte("\n"), 64<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	c := servingBy(t, exec.Command("unshare", "-m", "sh", "-c", `mount --bind "$1" /etc/motd && shift && exec "$@"`, "sh", motd, agent, "serve"))
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindShell, Terminal: &agentproto.Terminal{},
		Shell: []string{"/bin/sh", "-c", "echo at last"}})
	defer s.Close()
	got, err := io.ReadAll(s.Stdout())
	if want := strings.Repeat("\r\n", 64<<10) + "at last\r\n"; err != nil || string(got) != want {
		t.Errorf("%d bytes instead of %d, error %v", len(got), len(want), err)
	}
}

// A session that hangs in its file system does not keep the agent, and with it
// the container, when the server has gone.
func TestServeEndsAllTheSame(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("LOUD: putting a file that hangs in place of /etc/passwd needs root")
	}
	t.Parallel()
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := unix.Mkfifo(passwd, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", `mount --bind "$1" /etc/passwd && exec "$2" serve`, "sh", passwd, agent)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := agentproto.Connect(t.Context(), pipes{out, in})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		_, err := c.Start(t.Context(), agentproto.Start{Kind: agentproto.KindExec, Command: "true"})
		started <- err
	}()
	// It hangs when it has opened the file, which is when another can (fifo(7)).
	waitFor(t, "the session", func() bool {
		fd, err := unix.Open(passwd, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			t.Cleanup(func() { _ = unix.Close(fd) })
		}
		return err == nil
	})
	_ = c.Close()
	if err := <-started; err == nil {
		t.Error("it has started")
	}
	_ = cmd.Wait()
}

// What a program says while it is hung up on does not keep it from cleaning up.
func TestServeHangupSaysSomething(t *testing.T) {
	c, _ := serving(t)
	cleaned := filepath.Join(t.TempDir(), "cleaned")
	s := begin(t, c, agentproto.Start{Kind: agentproto.KindExec, Shell: []string{"/bin/bash"},
		Command: "trap 'echo bye; echo bye >&2; echo >" + cleaned + "; exit' HUP; echo ready; while :; do sleep 0.1; done"})
	for _, output := range []io.Reader{s.Stdout(), s.Stderr()} {
		if output == s.Stdout() {
			(&lineReader{output}).expect(t, "ready")
		}
		go func() { _, _ = io.Copy(io.Discard, output) }()
	}
	_ = s.Close()
	waitFor(t, "the program's cleaning up", func() bool { return exists(cleaned) })
}
