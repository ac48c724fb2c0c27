package clients

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/sshserver"
)

// opensshServer is a server whose users land in busybox, with settings for the
// section ssh, and an authorized_keys file; empty is the quick start's own key.
func opensshServer(t *testing.T, settings, keys string) *testberth.Server {
	t.Helper()
	auth := ""
	if keys != "" {
		auth = fmt.Sprintf("auth: {publicKey: {files: [%q]}}", keys)
	}
	return testberth.Start(t, fmt.Sprintf(`
ssh:
  %s
%s
docker:
  connection: {host: %q}
  execution:
    imagePullPolicy: Never
    container: {image: %q, networkdisabled: true, labels: {%s: "1"}}
log: {level: debug}
`, settings, auth, testguest.EngineHost(), testguest.Busybox(t), testguest.Label), filepath.Join(t.TempDir(), "state"))
}

// runSSH runs ssh with options to its end.
func runSSH(t *testing.T, s *testberth.Server, stdin io.Reader, options []string, command string) (stdout, stderr []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	argv := append([]string{"-F", "none", "-o", "BatchMode=yes", "-o", "IdentityAgent=none"}, options...)
	argv = append(append(argv, s.Options...), s.Destination, command)
	cmd := exec.CommandContext(ctx, "ssh", argv...)
	cmd.WaitDelay = 10 * time.Second
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &err
	_ = cmd.Run()
	return out.Bytes(), err.Bytes(), cmd.ProcessState.ExitCode()
}

// both are the algorithms of a kind that the server offers and ssh knows.
func both(t *testing.T, kind string, offered []string) []string {
	t.Helper()
	list, err := exec.Command("ssh", "-Q", kind).Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range offered {
		if strings.Contains("\n"+string(list), "\n"+name+"\n") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Errorf("ssh knows none of the algorithms %q", offered)
	}
	return names
}

// Keys are exchanged again and again while bytes go both ways, whatever the
// cipher, the MAC and the way to exchange keys.
func TestRekey(t *testing.T) {
	t.Parallel()
	def := sshserver.DefaultAlgorithms()
	var combinations [][]string
	for _, cipher := range both(t, "cipher", def.Ciphers) {
		if strings.Contains(cipher, "gcm") || strings.Contains(cipher, "poly1305") {
			combinations = append(combinations, []string{"-c", cipher})
			continue
		}
		for _, mac := range both(t, "mac", def.MACs) {
			combinations = append(combinations, []string{"-c", cipher, "-m", mac})
		}
	}
	for _, kex := range both(t, "kex", def.KeyExchanges) {
		combinations = append(combinations, []string{"-o", "KexAlgorithms=" + kex})
	}

	s := opensshServer(t, "drainTimeout: 2s", "")
	content := pattern(400_000)
	rekey := func(t *testing.T, options []string, limit, command string, least int) {
		t.Helper()
		options = append([]string{"-v", "-o", "RekeyLimit=" + limit}, options...)
		out, said, code := runSSH(t, s, bytes.NewReader(content), options, command)
		if !bytes.Equal(out, content) || code != 0 {
			t.Errorf("%q: %d bytes of %d came back, exit code %d: %s", options, len(out), len(content), code, tailOf(said))
		}
		if n := bytes.Count(said, []byte("SSH2_MSG_KEXINIT sent")); n < least {
			t.Errorf("%q: keys were exchanged %d times, want %d at least", options, n, least)
		}
	}
	for _, options := range combinations {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			rekey(t, options, "16", "cat", 8) // as often as can be
			rekey(t, options, "100K", "cat", 4)
		})
	}
	// While nothing is sent, and then while much is.
	t.Run("by time", func(t *testing.T) { rekey(t, nil, "default 1", "sleep 2.2; cat", 2) })
	t.Run("by time, at the end", func(t *testing.T) { rekey(t, nil, "20K 1", "cat; exec >&-; sleep 2.2", 5) })
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>3 ^ i>>11)
	}
	return b
}

func tailOf(text []byte) []byte { return text[max(0, len(text)-2000):] }

// A bit that is turned over on its way, in whichever direction, ends the
// connection and is never taken for data; the server goes on.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	s := opensshServer(t, "drainTimeout: 2s", "")
	port := ""
	for _, option := range s.Options {
		if p, ok := strings.CutPrefix(option, "Port="); ok {
			port = p
		}
	}
	content := pattern(300_000)
	for _, options := range [][]string{
		{"-c", "aes128-gcm@openssh.com"}, {"-c", "chacha20-poly1305@openssh.com"},
		{"-c", "aes128-ctr", "-m", "hmac-sha2-256-etm@openssh.com"}, {"-c", "aes256-ctr", "-m", "hmac-sha2-512-etm@openssh.com"},
	} {
		for _, toServer := range []bool{true, false} {
			t.Run(fmt.Sprint(options, toServer), func(t *testing.T) {
				at, stop := spoil(t, "127.0.0.1:"+port, toServer, 100_000)
				defer stop()
				// The first of an option's values counts for ssh.
				_, p, _ := net.SplitHostPort(at)
				options := append([]string{"-o", "HostKeyAlias=[127.0.0.1]:" + port, "-p", p}, options...)
				out, said, code := runSSH(t, s, bytes.NewReader(content), options, "cat")
				if code != 255 || !bytes.HasPrefix(content, out) {
					t.Errorf("exit code %d, %d bytes: %s", code, len(out), said)
				}
				want := "(closed by remote host|Broken pipe|reset by peer)"
				if !toServer {
					want = "(authentication code incorrect|Corrupted MAC|Corrupted padding|Bad packet length)"
				}
				if !regexp.MustCompile(want).Match(said) {
					t.Errorf("ssh says %s", said)
				}
			})
		}
	}
	if out, said, code := runSSH(t, s, bytes.NewReader(content), nil, "cat"); code != 0 || !bytes.Equal(out, content) {
		t.Errorf("afterwards: exit code %d, %d bytes: %s", code, len(out), said)
	}
}

// spoil is a way to an address on which one bit is turned over, after so many
// bytes in one direction.
func spoil(t *testing.T, to string, toServer bool, after int64) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	pass := func(to, from net.Conn, spoiled bool) {
		defer to.Close()
		defer from.Close()
		if spoiled {
			if _, err := io.CopyN(to, from, after); err != nil {
				return
			}
			var b [1]byte
			if _, err := io.ReadFull(from, b[:]); err != nil {
				return
			}
			b[0] ^= 0x10
			if _, err := to.Write(b[:]); err != nil {
				return
			}
		}
		_, _ = io.Copy(to, from)
	}
	all.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			_ = client.Close()
			return
		}
		all.Go(func() { pass(server, client, toServer) })
		pass(client, server, !toServer)
	})
	return l.Addr().String(), func() {
		_ = l.Close()
		all.Wait()
	}
}

// Texts of all sizes before the login, and none.
func TestBanner(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 10, 100, 1000, 10_000, 30_000} {
		text := strings.Repeat("0123456789abcdef ghijklmnopqrst\n", size/32+1)[:size]
		s := opensshServer(t, fmt.Sprintf("banner: %q", text), "")
		_, said, code := runSSH(t, s, nil, nil, "true")
		got := strings.ReplaceAll(string(said), "\r\n", "\n")
		if code != 0 || strings.TrimSuffix(got, "\n") != strings.TrimSuffix(text, "\n") {
			t.Errorf("%d bytes: exit code %d, got %d bytes: %q", size, code, len(got), tailOf([]byte(got)))
		}
		if _, said, code := runSSH(t, s, nil, []string{"-q"}, "true"); code != 0 || len(said) > 0 {
			t.Errorf("%d bytes, quiet: exit code %d, %q", size, code, said)
		}
	}
}

// Who does not log in in time is cut off; who does meanwhile is not kept waiting.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	s := opensshServer(t, "handshakeTimeout: 2s", "")
	port := ""
	for _, option := range s.Options {
		if p, ok := strings.CutPrefix(option, "Port="); ok {
			port = p
		}
	}
	for _, says := range []string{"", "SSH-2.0-slow\r\n"} {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, says); err != nil {
			t.Fatal(err)
		}
		if _, said, code := runSSH(t, s, nil, nil, "sleep 2.5; exit 3"); code != 3 {
			t.Errorf("meanwhile: exit code %d, %s", code, said)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: not cut off: %v", says, err)
		}
	}
}

// Every type of key logs in; one among others that are refused does, too, but
// not after too many of them.
func TestKeyTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", "", "-C", name, "-f", path}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		return path
	}
	var keys []string
	var authorized bytes.Buffer
	for _, args := range [][]string{
		{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048"}, {"-t", "rsa", "-b", "3072"},
		{"-t", "ecdsa", "-b", "256"}, {"-t", "ecdsa", "-b", "384"}, {"-t", "ecdsa", "-b", "521"},
	} {
		key := generate("key-"+strings.Join(args, ""), args...)
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		authorized.Write(public)
		keys = append(keys, key)
	}
	file := filepath.Join(dir, "authorized")
	if err := os.WriteFile(file, authorized.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := opensshServer(t, "maxAuthTries: 4", file)
	try := func(options ...string) int {
		_, _, code := runSSH(t, s, nil, append(options, "-o", "IdentitiesOnly=yes"), "true")
		return code
	}
	for _, key := range keys {
		if code := try("-i", key); code != 0 {
			t.Errorf("%s: exit code %d", filepath.Base(key), code)
		}
	}
	for _, algorithm := range []string{"rsa-sha2-256", "rsa-sha2-512"} {
		if code := try("-i", keys[1], "-o", "PubkeyAcceptedAlgorithms="+algorithm); code != 0 {
			t.Errorf("%s: exit code %d", algorithm, code)
		}
	}
	if code := try("-i", keys[1], "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"); code != 255 {
		t.Errorf("SHA-1: exit code %d", code)
	}
	var strangers []string
	for i := range 5 {
		strangers = append(strangers, "-i", generate(fmt.Sprint("stranger-", i), "-t", "ed25519"))
	}
	if code := try(append(slices.Clone(strangers[:4]), "-i", keys[0])...); code != 0 {
		t.Errorf("the third of three keys: exit code %d", code)
	}
	if code := try(append(strangers, "-i", keys[0])...); code != 255 {
		t.Errorf("the sixth of six keys: exit code %d", code)
	}
}
