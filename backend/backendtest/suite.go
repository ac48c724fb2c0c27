package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/sshserver"
)

// Target is a backend under test, in one of its forms.
type Target struct {
	// Connect makes the handler of a new connection.
	Connect func(client net.TCPAddr, connectionID string) (sshserver.NetworkConnectionHandler, error)
	// Containers lists the containers of a connection that exist.
	Containers func(ctx context.Context, connectionID string) ([]string, error)
	// Mode is what the backend is configured for.
	Mode backend.Mode

	// Signals tells whether signals can be delivered to programs.
	Signals bool
	// ExactSignals tells whether a program that was killed by anybody is known
	// to have been killed. Otherwise 128 and the signal's number is expected.
	ExactSignals bool
	// LateSize tells that a terminal may be without size when its program
	// starts, and get it right after that.
	LateSize bool
	// EchoSubsystem is a subsystem that runs cat; empty if there is none.
	EchoSubsystem string
}

// Run runs the suite. Each case uses a connection of its own, and afterwards
// none of its containers may be left (hazards 14 and 22).
func Run(t *testing.T, target Target) {
	cases := []struct {
		name string
		run  func(*testing.T, Target, *connection)
	}{
		{"program and exit code", programAndExitCode},
		{"environment", environment},
		{"bad environment is refused", badEnvironment},
		{"blank commands", blankCommands},
		{"quotes, newlines and long commands", oddCommands},
		{"commands run through the shell", throughTheShell},
		{"missing program", missingProgram},
		{"stderr apart", stderrApart},
		{"the end of input is not the end", endOfInput},
		{"half-close", halfClose},
		{"50 MB both ways", manyBytes},
		{"output of a program that ends at once", outputAtExit},
		{"slow reader", slowReader},
		{"program that closes its output", closedOutput},
		{"killed program", killedProgram},
		{"signals", signals},
		{"shell on a terminal", shellOnTerminal},
		{"first size and resize", terminalSize},
		{"terminal's special characters", specialCharacters},
		{"end of input on a terminal", endOfInputOnTerminal},
		{"subsystems", subsystems},
		{"requests out of order", outOfOrder},
		{"concurrent sessions", concurrentSessions},
		{"independent sessions", independentSessions},
		{"the client closes the channel", clientCloses},
		{"the client vanishes", clientVanishes},
		{"the client vanishes before the start", clientVanishesEarly},
		{"shutdown", shutdown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			connection := connect(t, target)
			c.run(t, target, connection)
			connection.disconnect()
			noneLeft(t, target, connection.id)
		})
	}
}

// noneLeft checks that a connection's containers are gone: OnDisconnect has
// returned, so the engine has said so. Its list may be a moment behind its own
// word.
func noneLeft(t *testing.T, target Target, id string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left, err := target.Containers(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("containers are left: %v", left)
			return
		}
	}
}

func programAndExitCode(t *testing.T, _ Target, c *connection) {
	c.session().exec("echo hello").end().wantExit(0).wantStdout("hello\n").wantStderr("")
	for _, code := range []uint32{1, 3, 42, 127, 130, 255} {
		c.session().exec(fmt.Sprintf("exit %d", code)).end().wantExit(code)
	}
}

func environment(t *testing.T, _ Target, c *connection) {
	c.session().
		env("BERTH_ONE", "first").
		env("BERTH_TWO", "a=b 'c' \"d\"\n$e ü").
		env("BERTH_ONE", "second").
		exec(`printf '%s|%s' "$BERTH_ONE" "$BERTH_TWO"`).end().
		wantExit(0).wantStdout("second|a=b 'c' \"d\"\n$e ü")
}

// Hazard 28.
func badEnvironment(t *testing.T, _ Target, c *connection) {
	s := c.session()
	for name, value := range map[string]string{
		"": "x", "A=B": "x", "A\x00B": "x", "A\nB": "x", "NUL": "a\x00b", "LD_PRELOAD": "/x.so", "LD_LIBRARY_PATH": "/x",
	} {
		if err := s.handler.OnEnvRequest(s.request(), name, value); err == nil {
			t.Errorf("env %q=%q was accepted", name, value)
		}
	}
	s.exec("env; exit 4").end().wantExit(4)
	for _, bad := range []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "NUL="} {
		if strings.Contains(s.stdout.String(), bad) {
			t.Errorf("%s has reached the program", bad)
		}
	}
}

// Hazard 11.
func blankCommands(t *testing.T, _ Target, c *connection) {
	for _, command := range []string{"", " ", "\n", "\t \n"} {
		c.session().exec(command).end().wantExit(0).wantStdout("").wantStderr("")
	}
}

// Hazard 11.
func oddCommands(t *testing.T, _ Target, c *connection) {
	c.session().exec("echo 'a  b' \"c\\\"d\" \\$HOME\necho zwei").end().wantExit(0).wantStdout("a  b c\"d $HOME\nzwei\n")

	long := strings.Repeat("x", 100<<10)
	c.session().exec("printf %s " + long).end().wantExit(0).wantStdout(long)

	s := c.session()
	for _, command := range []string{"echo a\x00b", "echo " + strings.Repeat("y", backend.MaxCommandBytes)} {
		err := s.handler.OnExecRequest(s.request(), command, s.stdinReader, &s.stdout, &s.stderr, s.onExit)
		var words sshserver.UserMessage
		if !errors.As(err, &words) || words.UserMessage() == "" {
			t.Errorf("%.20q…: error %v, want one with words for the user", command, err)
		}
	}
	s.exec("echo still here").end().wantExit(0).wantStdout("still here\n")
}

// Hazard 12.
func throughTheShell(t *testing.T, _ Target, c *connection) {
	c.session().exec("/bin/echo one && /bin/echo two | cat; X=3 && echo $X").end().wantExit(0).wantStdout("one\ntwo\n3\n")
}

// Hazard 10.
func missingProgram(t *testing.T, _ Target, c *connection) {
	s := c.session().exec("/no/such/program").end().wantExit(127)
	if s.stderr.String() == "" {
		t.Error("nothing was said about it")
	}
	c.session().exec("/etc").end().wantExit(126)
}

// Hazard 5.
func stderrApart(t *testing.T, _ Target, c *connection) {
	c.session().exec("echo out; echo err >&2; echo out2; echo err2 >&2").end().
		wantExit(0).wantStdout("out\nout2\n").wantStderr("err\nerr2\n")
}

// Hazard 1.
func endOfInput(t *testing.T, _ Target, c *connection) {
	c.session().exec("sleep 1; echo done; exit 3").end().wantExit(3).wantStdout("done\n")
	// And a program need not read its input to its end.
	c.session().exec("echo done; exit 4").wantExit(4).wantStdout("done\n")
}

// Hazard 4.
func halfClose(t *testing.T, _ Target, c *connection) {
	s := c.session().exec("cat; echo end").send("line one\n").expect("line one\n")
	s.send("line two\n").end().wantExit(0).wantStdout("line one\nline two\nend\n")
}

// Hazard 3.
func manyBytes(t *testing.T, _ Target, c *connection) {
	const size = 50 << 20
	s := c.session()
	in, out := sha256.New(), sha256.New()
	var counted countingWriter
	err := s.handler.OnExecRequest(s.request(), "cat", s.stdinReader, io.MultiWriter(out, &counted), &s.stderr, s.onExit)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	for sent := 0; sent < size; {
		chunk := make([]byte, min(1+rand.IntN(100_000), size-sent))
		_, _ = random.Read(chunk)
		in.Write(chunk)
		if _, err := s.stdin.Write(chunk); err != nil {
			t.Fatal(err)
		}
		sent += len(chunk)
	}
	s.end().wantExit(0)
	if !bytes.Equal(in.Sum(nil), out.Sum(nil)) {
		t.Errorf("%d bytes went in, %d other ones came out", size, counted.n)
	}
}

type countingWriter struct{ n int }

func (c *countingWriter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// Hazard 3: all output arrives, also of a program that ends right after it,
// whether its input is open or not.
func outputAtExit(t *testing.T, _ Target, c *connection) {
	for i, size := range []int{0, 1, 4095, 65536, 65537, 1_000_000} {
		s := c.session().exec(fmt.Sprintf("head -c %d /dev/zero; exit 9", size))
		if i%2 == 0 {
			s.end()
		}
		s.wantExit(9)
		if got := len(s.stdout.String()); got != size {
			t.Errorf("%d bytes of %d have arrived", got, size)
		}
	}
}

// Hazard 3: a client that reads slowly gets every byte.
func slowReader(t *testing.T, _ Target, c *connection) {
	const size = 2 << 20
	s := c.session()
	slow := &slowWriter{pauses: 20}
	err := s.handler.OnExecRequest(s.request(), fmt.Sprintf("head -c %d /dev/zero; echo end >&2", size), s.stdinReader, slow, &s.stderr, s.onExit)
	if err != nil {
		t.Fatal(err)
	}
	s.end().wantExit(0).wantStderr("end\n")
	if slow.n != size {
		t.Errorf("%d bytes of %d have arrived", slow.n, size)
	}
}

type slowWriter struct{ n, pauses int }

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.pauses > 0 {
		w.pauses--
		time.Sleep(20 * time.Millisecond)
	}
	w.n += len(p)
	return len(p), nil
}

// A program that closes its streams has not ended by that (hazard 9).
func closedOutput(t *testing.T, _ Target, c *connection) {
	c.session().exec("echo before; exec >&- 2>&- <&-; sleep 1; exit 5").end().wantExit(5).wantStdout("before\n")
}

// Hazard 10.
func killedProgram(t *testing.T, target Target, c *connection) {
	got := c.session().exec("kill -KILL $$").end().wait()
	want := sshserver.ExitStatus{Code: 137}
	if target.ExactSignals {
		want = sshserver.ExitStatus{Signal: "KILL"}
	}
	if got.Signal != want.Signal || want.Signal == "" && got.Code != want.Code {
		t.Errorf("exit %+v, want %+v", got, want)
	}
}

func signals(t *testing.T, target Target, c *connection) {
	s := c.session().exec(`trap 'echo got USR1' USR1; trap 'echo got TERM; exit 7' TERM; echo ready; while :; do sleep 0.1; done`).expect("ready")
	if !target.Signals {
		err := s.handler.OnSignal(s.request(), "USR1")
		if !errors.Is(err, backend.ErrNoSignals) {
			t.Errorf("error %v, want one that says that there is no way", err)
		}
		return
	}
	if err := s.handler.OnSignal(s.request(), "NO"); err == nil {
		t.Error("a signal of no known name was accepted")
	}
	if err := s.handler.OnSignal(s.request(), "USR1"); err != nil {
		t.Fatal(err)
	}
	s.expect("got USR1")
	if err := s.handler.OnSignal(s.request(), "TERM"); err != nil {
		t.Fatal(err)
	}
	s.wantExit(7)

	s = c.session().exec("echo ready; exec sleep 1000").expect("ready")
	if err := s.handler.OnSignal(s.request(), "TERM"); err != nil {
		t.Fatal(err)
	}
	if got := s.wait(); got.Signal != "TERM" {
		t.Errorf("exit %+v of a program ended by TERM", got)
	}
}

func shellOnTerminal(t *testing.T, _ Target, c *connection) {
	s := c.session().env("PS1", "prompt> ").pty(80, 24).shell()
	s.send("echo term=$TERM sum=$((40+2))\r").expect("term=xterm sum=42")
	s.send("tty && exit 6\r").expect("/dev/").wantExit(6)
	s = c.session().pty(80, 24).exec("echo one; echo two >&2")
	s.wantExit(0).wantStdout("one\r\ntwo\r\n") // a terminal has one output
}

// Hazard 8.
func terminalSize(t *testing.T, target Target, c *connection) {
	for _, size := range []struct {
		columns, rows uint32
		want          string
	}{{123, 45, "45 123\r\n"}, {0, 0, "24 80\r\n"}} {
		s := c.session().pty(size.columns, size.rows)
		if target.LateSize {
			s.exec("until stty size 2>/dev/null | grep .; do sleep 0.1; done")
		} else {
			s.exec("stty size")
		}
		s.wantExit(0).wantStdout(size.want)
	}

	s := c.session().pty(80, 24).exec(`trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done`).expect("ready")
	if err := s.handler.OnWindow(s.request(), 100, 30, 0, 0); err != nil {
		t.Fatal(err)
	}
	s.expect("30 100\r\n")
	if err := s.handler.OnWindow(s.request(), 101, 31, 800, 600); err != nil {
		t.Fatal(err)
	}
	s.expect("31 101\r\n").send("\x03").wait()
}

// Hazard 7 (ctrl-p), and ctrl-c.
func specialCharacters(t *testing.T, _ Target, c *connection) {
	s := c.session().pty(80, 24).exec("stty raw -echo; echo ready; head -c 6; stty sane; echo; echo all").expect("ready")
	s.send("\x10").expect("\x10").send("\x11\x10\x04\x03\x1a").expect("all").wantExit(0)
	if !strings.Contains(s.stdout.String(), "\x10\x11\x10\x04\x03\x1a") {
		t.Errorf("the keys came back as %q", s.stdout.String())
	}

	s = c.session().pty(80, 24).exec("echo ready; sleep 1000").expect("ready").send("\x03")
	if got := s.wait(); got.Code == 0 && got.Signal == "" {
		t.Errorf("exit %+v after ctrl-c", got)
	}
}

// Hazard 4: with a terminal the end of input is its VEOF character.
func endOfInputOnTerminal(t *testing.T, _ Target, c *connection) {
	s := c.session().pty(80, 24).exec("cat; echo end").send("line\n").expect("line\r\nline\r\n").end()
	s.expect("end").wantExit(0)
	s = c.session().pty(80, 24).exec("cat; echo end").send("part").expect("part").end()
	s.expect("end").wantExit(0)
}

func subsystems(t *testing.T, target Target, c *connection) {
	s := c.session()
	err := s.handler.OnSubsystem(s.request(), "no-such", s.stdinReader, &s.stdout, &s.stderr, s.onExit)
	if backend.Code(err) == "" {
		t.Errorf("an unknown subsystem gave the error %v", err)
	}
	if target.EchoSubsystem == "" {
		return
	}
	c.session().subsystem(target.EchoSubsystem).send("echoed\n").end().wantExit(0).wantStdout("echoed\n")
}

// Requests that come at the wrong time are refused and change nothing.
func outOfOrder(t *testing.T, _ Target, c *connection) {
	s := c.session()
	if err := s.handler.OnSignal(s.request(), "TERM"); err == nil {
		t.Error("a signal without a program was accepted")
	}
	if err := s.handler.OnWindow(s.request(), 1, 1, 0, 0); err == nil {
		t.Error("a window change without a program was accepted")
	}
	s.exec("echo ready; read x; echo $x").expect("ready")
	for name, err := range map[string]error{
		"env":   s.handler.OnEnvRequest(s.request(), "A", "b"),
		"pty":   s.handler.OnPtyRequest(s.request(), "xterm", 80, 24, 0, 0, nil),
		"exec":  s.handler.OnExecRequest(s.request(), "true", s.stdinReader, &s.stdout, &s.stderr, s.onExit),
		"shell": s.handler.OnShell(s.request(), s.stdinReader, &s.stdout, &s.stderr, s.onExit),
	} {
		if err == nil {
			t.Errorf("%s was accepted while a program runs", name)
		}
	}
	s.send("still\n").wantExit(0).wantStdout("ready\nstill\n")
	if err := s.handler.OnSignal(s.request(), "TERM"); err == nil {
		t.Error("a signal after the program's end was accepted")
	}
}

func concurrentSessions(t *testing.T, _ Target, c *connection) {
	var wg sync.WaitGroup
	for i := range 8 {
		s := c.session()
		wg.Go(func() {
			text := strings.Repeat(fmt.Sprintf("session %d\n", i), 1000)
			s.exec(fmt.Sprintf("cat; exit %d", i))
			s.send(text).end().wantExit(uint32(i)).wantStdout(text)
		})
	}
	wg.Wait()
}

// Hazard 20: a session whose client doesn't read stalls no other.
func independentSessions(t *testing.T, _ Target, c *connection) {
	stalled := c.session()
	gate := make(chan struct{})
	err := stalled.handler.OnExecRequest(stalled.request(), "cat /dev/zero", stalled.stdinReader,
		writerFunc(func(p []byte) (int, error) { <-gate; return 0, io.ErrClosedPipe }), &stalled.stderr, stalled.onExit)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.session().exec("echo free").end().wantExit(0).wantStdout("free\n")
	}
	close(gate)
	stalled.close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Hazards 13 and 35: the end of a channel ends its program, but no other.
func clientCloses(t *testing.T, target Target, c *connection) {
	other := c.session().exec("echo ready; read x; echo $x").expect("ready")
	s := c.session().exec("trap 'echo hung up > /tmp/hup; exit' HUP; echo ready; while :; do sleep 0.1; done").expect("ready")
	s.close()
	if target.Signals && target.Mode == backend.ModeConnection {
		c.session().exec("until test -s /tmp/hup; do sleep 0.1; done; cat /tmp/hup").end().wantExit(0).wantStdout("hung up\n")
		// One that ignores what can be ignored is killed.
		s := c.session().exec("trap '' HUP TERM; echo $$; while :; do sleep 0.1; done").expect("\n")
		pid := strings.TrimSpace(s.stdout.String())
		s.close()
		c.session().exec("while kill -0 " + pid + " 2>/dev/null; do sleep 0.1; done; echo gone").end().wantExit(0).wantStdout("gone\n")
	}
	other.send("untouched\n").wantExit(0).wantStdout("ready\nuntouched\n")
}

// Hazard 14.
func clientVanishes(t *testing.T, _ Target, c *connection) {
	for range 3 {
		c.session().exec("echo ready; exec sleep 1000").expect("ready")
	}
	c.session().pty(80, 24).shell().send("echo rea''dy\r").expect("ready")
	c.disconnect()
}

// Hazard 14: also while the container is being made.
func clientVanishesEarly(t *testing.T, _ Target, c *connection) {
	c.session().exec("echo never mind")
	c.disconnect()
}

// Hazard 22.
func shutdown(t *testing.T, target Target, c *connection) {
	s := c.session().exec("trap 'echo told; exit 8' TERM; echo ready; while :; do sleep 0.1; done").expect("ready")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c.network.OnShutdown(ctx)
	if target.Signals {
		s.wantExit(8).wantStdout("ready\ntold\n")
	}
}
