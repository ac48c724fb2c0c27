package forwards

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/proxy"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testsshd"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// ask sends all of it, half-closes, and reads the answer to its end.
func ask(t *testing.T, c interface {
	io.ReadWriter
	CloseWrite() error
}, what []byte) []byte {
	t.Helper()
	go func() {
		_, _ = c.Write(what)
		_ = c.CloseWrite()
	}()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read the answer: %v", err)
	}
	return answer
}

// ssh -L: connections into the container, to ports and to sockets, many at
// once, byte by byte, and half-closed by either side (hazard 26).
func TestLocal(t *testing.T) {
	t.Parallel()
	server := serverOf(t, testguest.Scratch(t), "", "")
	m := newMaster(t, server)
	for _, at := range [][]string{{"tcp", "127.0.0.1:0"}, {"unix", "/s"}} {
		t.Run(at[0], func(t *testing.T) {
			serve := func(what string) (*session, string) {
				address := at[1]
				if at[0] == "unix" {
					address += what
				}
				s := m.start(nil, "/guest", "serve", what, at[0], address)
				return s, m.socket(s.line())
			}
			_, echo := serve("echo")
			_, digest := serve("digest")
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					what := randomBytes(1 + i*300_000)
					if got := ask(t, dial(t, echo), what); !bytes.Equal(got, what) {
						t.Errorf("%d bytes were sent, %d others came back", len(what), len(got))
					}
					if got := ask(t, dial(t, digest), what); string(got) != fmt.Sprintf("%x", sha256.Sum256(what)) {
						t.Errorf("another digest of %d bytes: %s", len(what), got)
					}
				})
			}
			all.Wait()

			greeter, greet := serve("greet")
			c := dial(t, greet)
			if hello, err := io.ReadAll(c); string(hello) != "hello" || err != nil {
				t.Errorf("greeted with %q, %v", hello, err)
			}
			if _, err := io.WriteString(c, "goodbye"); err != nil {
				t.Errorf("after the other side's half-close: %v", err)
			}
			_ = c.CloseWrite()
			if got := greeter.line(); got != `"goodbye" <nil>` {
				t.Errorf("after its half-close the program has got %s", got)
			}
		})
	}
}

// A connection that can't be made is a channel that can't be opened, with the
// reason; it is not accepted and closed (hazard 26).
func TestRefusedDial(t *testing.T) {
	t.Parallel()
	server := serverOf(t, testguest.Scratch(t), `forwarding: {permitOpen: ["127.0.0.1:*", "localhost:7"]}`, "")
	m := newMaster(t, server)
	for _, c := range []struct{ to, words string }{
		{"127.0.0.1:1", "connection refused"},
		{"localhost:8", "not allowed"},
	} {
		_, stderr, code := m.output([]string{"-S", "none", "-W", c.to})
		if code != 255 || !strings.Contains(stderr, c.words) || !strings.Contains(stderr, "open failed") {
			t.Errorf("-W %s: exit code %d, %q; want 255 and %q", c.to, code, stderr, c.words)
		}
	}
	nobody(t, m.socket("/no/such/socket"))
	waitFor(t, "the reason in the log", func() bool { return strings.Contains(server.Log(), "no such file or directory") })
}

// nobody connects to a forward whose channel can't be opened: the client closes
// what it has accepted.
func nobody(t *testing.T, path string) {
	t.Helper()
	if got, _ := io.ReadAll(dial(t, path)); len(got) > 0 {
		t.Errorf("got %q from nobody", got)
	}
}

// ssh -D: names are looked up in the container, and localhost is the container also
// where it has no network, and so no file of hosts.
func TestDynamic(t *testing.T) {
	t.Parallel()
	for name, disabled := range map[string]bool{"a network": false, "none": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDynamic(t, fmt.Sprintf("container: {image: %q, networkdisabled: %v, labels: {%s: '1'}}", testguest.Scratch(t), disabled, testguest.Label))
		})
	}
}

func testDynamic(t *testing.T, execution string) {
	m := newMaster(t, serverOf(t, "", "", execution))
	port := m.start(nil, "/guest", "serve", "digest", "tcp", "127.0.0.1:0").line()
	_, port, _ = strings.Cut(port, ":")
	dialer, err := proxy.SOCKS5("tcp", m.dynamic(), nil, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialer.Dial("tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	what := randomBytes(100_000)
	if got := ask(t, c.(*net.TCPConn), what); string(got) != fmt.Sprintf("%x", sha256.Sum256(what)) {
		t.Errorf("another digest: %s", got)
	}
}

// ssh -J: a container is a jump host to what its network reaches.
func TestJump(t *testing.T) {
	t.Parallel()
	beyond := testsshd.StartIn(t, testguest.Debian(t), nil)
	server := testberth.Start(t, fmt.Sprintf(`
docker:
  connection: {host: %q}
  execution:
    imagePullPolicy: Never
    container: {image: %q, labels: {%s: "1"}}
    host: {networkmode: host}
`, testguest.EngineHost(), testguest.Scratch(t), testguest.Label), t.TempDir())
	// ssh -J takes no options for the jump, but a file.
	config := t.TempDir() + "/config"
	host, port, _ := net.SplitHostPort(beyond.Addr)
	text := "Host jump\n"
	for _, option := range optionLines(server.Options) {
		text += "  " + option + "\n"
	}
	user, at, _ := strings.Cut(server.Destination, "@")
	text += fmt.Sprintf("  User %s\n  HostName %s\nHost beyond\n  User %s\n  HostName %s\n  Port %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n  ProxyJump jump\n",
		user, at, beyond.User, host, port, beyond.KeyFile, beyond.KnownHostsFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t), "ssh", "-F", config, "-o", "BatchMode=yes", "beyond", "sha256sum; exit 7")
	what := randomBytes(2_000_000)
	cmd.Stdin = bytes.NewReader(what)
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 7 || !strings.HasPrefix(string(out), fmt.Sprintf("%x", sha256.Sum256(what))) {
		t.Errorf("%q, %v", out, err)
	}
}

// optionLines makes lines of ssh_config(5) of ssh's options.
func optionLines(options []string) (lines []string) {
	for i := 0; i+1 < len(options); i += 2 {
		switch options[i] {
		case "-i":
			lines = append(lines, "IdentityFile "+options[i+1])
		case "-o":
			lines = append(lines, strings.Replace(options[i+1], "=", " ", 1))
		}
	}
	return lines
}

// ssh -R: connections out of the container, from ports and from sockets.
func TestRemote(t *testing.T) {
	t.Parallel()
	m := newMaster(t, serverOf(t, testguest.Scratch(t), "", ""))
	target := m.path("t")
	listen(t, target, func(c *net.UnixConn) {
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			t.Errorf("read: %v", err)
		}
		fmt.Fprintf(c, "%x", h.Sum(nil))
	})
	// Port 0 is any, and the client is told which.
	port := m.forward("-R", "0:"+target)
	if n, err := strconv.Atoi(port); err != nil || n < 1 {
		t.Fatalf("ssh says %q of the port", port)
	}
	m.forward("-R", "/remote:"+target)
	for _, at := range [][]string{{"tcp", "127.0.0.1:" + port}, {"unix", "/remote"}} {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				what := randomBytes(1 + i*300_000)
				cmd := m.command(nil, []string{"/guest", "dial", at[0], at[1]})
				cmd.Stdin = bytes.NewReader(what)
				out, err := cmd.Output()
				if string(out) != fmt.Sprintf("%x", sha256.Sum256(what)) {
					t.Errorf("%s: %d bytes: %q, %v", at[0], len(what), out, err)
				}
			})
		}
		all.Wait()
	}

	// A busy port is a failure.
	if said, err := m.tryForward("-R", port+":"+target); err == nil {
		t.Errorf("a busy port was given away again: %s", said)
	}
	busy := m.start(nil, "/guest", "serve", "echo", "tcp", "127.0.0.1:0").line()
	_, busy, _ = strings.Cut(busy, ":")
	if said, err := m.tryForward("-R", busy+":"+target); err == nil {
		t.Errorf("a program's port was given away: %s", said)
	}

	// What is cancelled is closed.
	if out, err := m.ssh("-O", "cancel", "-R", "/remote:"+target).CombinedOutput(); err != nil {
		t.Errorf("cancel: %v: %s", err, out)
	}
	// ssh does not wait for the answer to its cancel.
	waitFor(t, "the cancelled listener to be gone", func() bool {
		_, stderr, code := m.output(nil, "/guest", "dial", "unix", "/remote")
		return code != 0 && strings.Contains(stderr, "no such file")
	})
}

// The client chooses the address to listen on only where it may.
func TestGatewayPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ settings, want string }{
		{"", "127.0.0.1"},
		{"forwarding: {gatewayPorts: true}", "0.0.0.0"},
	} {
		m := newMaster(t, serverOf(t, testguest.Busybox(t), c.settings, ""))
		port := m.forward("-R", "0.0.0.0:0:"+m.path("t"))
		out, _, _ := m.output(nil, "netstat -ltn")
		if !strings.Contains(out, c.want+":"+port+" ") {
			t.Errorf("%q: not at %s: %s", c.settings, c.want, out)
		}
	}
}

// What the configuration forbids is refused.
func TestForbidden(t *testing.T) {
	t.Parallel()
	m := newMaster(t, serverOf(t, testguest.Scratch(t),
		`forwarding: {allowTcp: local, allowStreamLocal: "no", permitListen: []}`, ""))
	if said, err := m.tryForward("-R", "0:"+m.path("t")); err == nil {
		t.Errorf("-R was accepted: %s", said)
	}
	if said, err := m.tryForward("-R", "/r:"+m.path("t")); err == nil {
		t.Errorf("-R with a socket was accepted: %s", said)
	}
	m.start(nil, "/guest", "serve", "echo", "unix", "/s").line()
	nobody(t, m.socket("/s"))
	address := m.start(nil, "/guest", "serve", "echo", "tcp", "127.0.0.1:0").line()
	if got := ask(t, dial(t, m.socket(address)), []byte("x")); string(got) != "x" {
		t.Errorf("-L gives %q", got)
	}
}

// Without our agent nothing is forwarded, and the log says why.
func TestWithoutAgent(t *testing.T) {
	t.Parallel()
	server := serverOf(t, testguest.Busybox(t), "", "agent: none\nshellCommand: [/bin/sh]\nidleCommand: [/bin/sleep, '1000']")
	m := newMaster(t, server)
	_, stderr, code := m.output([]string{"-S", "none", "-W", "127.0.0.1:1"})
	if code != 255 || !strings.Contains(stderr, "Nothing can be forwarded") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if _, err := m.tryForward("-R", "0:"+m.path("t")); err == nil {
		t.Error("-R was accepted")
	}
	waitFor(t, "what to do in the log", func() bool { return strings.Contains(server.Log(), "execution.agent: inject") })
}

// In session mode forwards belong to the container of the session, also one
// that has been asked for before there was any.
func TestSessionMode(t *testing.T) {
	t.Parallel()
	server := serverOf(t, testguest.Scratch(t), "", "mode: session")
	m := newMaster(t, server)
	target := m.path("t")
	listen(t, target, func(c *net.UnixConn) { _, _ = io.Copy(c, c) })
	port := m.forward("-R", "0:"+target)
	cmd := m.command(nil, []string{"/guest", "dial", "tcp", "127.0.0.1:" + port})
	cmd.Stdin = strings.NewReader("out and back")
	if out, err := cmd.Output(); string(out) != "out and back" {
		t.Errorf("%q, %v", out, err)
	}
	// The listener has gone with that session's container. The next session has
	// one of its own.
	s := m.start(nil, "/guest", "serve", "echo", "tcp", "127.0.0.1:0")
	if got := ask(t, dial(t, m.socket(s.line())), []byte("in and back")); string(got) != "in and back" {
		t.Errorf("%q", got)
	}
}

// A forward that nobody reads stalls no other, and no session (hazard 20).
func TestStalled(t *testing.T) {
	t.Parallel()
	m := newMaster(t, serverOf(t, testguest.Scratch(t), "", ""))
	stall := m.socket(m.start(nil, "/guest", "serve", "stall", "tcp", "127.0.0.1:0").line())
	echo := m.socket(m.start(nil, "/guest", "serve", "echo", "tcp", "127.0.0.1:0").line())
	for range 4 {
		c := dial(t, stall)
		go func() { _, _ = c.Write(make([]byte, 64<<20)) }()
	}
	for range 3 {
		what := randomBytes(1 << 20)
		if got := ask(t, dial(t, echo), what); !bytes.Equal(got, what) {
			t.Error("other bytes came back")
		}
		if out, _, code := m.output(nil, "/guest", "print", "fine"); out != "fine\n" || code != 0 {
			t.Errorf("a session gives %q, %d", out, code)
		}
	}
}
