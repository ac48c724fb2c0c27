package backend

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-ssh/berth/sshserver"
)

// Who sits at a terminal is told once that the server is going down, also one who
// comes to it while that goes on; programs that read each other's standard error
// are not.
func TestDrain(t *testing.T) {
	const words = "\r\nberth: the server is going down in 30s\r\n"
	for _, c := range []struct {
		name     string
		terminal bool
		before   bool // the program runs before the drain
		want     string
		signal   string
	}{
		{"terminal", true, true, words, "HUP"},
		{"terminal, not started yet", true, false, words, "HUP"},
		{"no terminal", false, true, "", "TERM"},
		{"no terminal, not started yet", false, false, "", "TERM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				client := newClient(t, f, ModeConnection)
				if c.terminal {
					if err := client.session.OnPtyRequest(0, "xterm", 80, 24, 0, 0, nil); err != nil {
						t.Fatal(err)
					}
				}
				if c.before {
					if err := client.shell(); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				until := time.Now().Add(30 * time.Second)
				client.connection.OnDrain(until)
				if !c.before {
					if err := client.shell(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				client.connection.OnDrain(until)
				synctest.Wait()
				if got := client.err.String(); got != c.want {
					t.Errorf("standard error %q, want %q", got, c.want)
				}
				if got := client.out.String(); got != "" {
					t.Errorf("standard output %q", got)
				}
				client.connection.OnShutdown(t.Context())
				if len(f.signals) != 1 || f.signals[0] != c.signal {
					t.Errorf("signals %q, want %s", f.signals, c.signal)
				}
				client.disconnect()
			})
		})
	}
}

// A command on a terminal is no shell, and can be asked with TERM.
func TestTerminateCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := newClient(t, f, ModeConnection)
		if err := c.session.OnPtyRequest(0, "xterm", 80, 24, 0, 0, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.session.OnExecRequest(1, "top", c.in, &c.out, &c.err, func(sshserver.ExitStatus) {}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.connection.OnShutdown(t.Context())
		if len(f.signals) != 1 || f.signals[0] != "TERM" {
			t.Errorf("signals %q, want TERM", f.signals)
		}
		c.disconnect()
	})
}

// The word is out, or lost with the channel, before the exit is reported: nothing
// is written after that. A client that does not read it holds nobody else up.
func TestDrainBeforeExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &fake{}, ModeConnection)
		if err := c.session.OnPtyRequest(0, "xterm", 80, 24, 0, 0, nil); err != nil {
			t.Fatal(err)
		}
		read, stderr := io.Pipe()
		exit := make(chan sshserver.ExitStatus, 1)
		if err := c.session.OnShell(1, c.in, &c.out, stderr, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.connection.OnDrain(time.Time{}) // returns, though nobody reads
		_ = c.stdin.Close()               // the program ends
		synctest.Wait()
		if len(exit) > 0 {
			t.Error("the exit has overtaken the word to the user")
		}
		text := make([]byte, 64)
		n, err := read.Read(text)
		if got := string(text[:n]); err != nil || got != "\r\nberth: the server is going down\r\n" {
			t.Errorf("%q, %v", got, err)
		}
		if status := <-exit; status.Code != 7 {
			t.Errorf("exit %+v", status)
		}
		c.disconnect()
	})
}
