package forwards

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh/agent"

	"github.com/berth-ssh/berth/internal/testguest"
)

// sshAgent runs an authentication agent with one key, and returns its socket and
// the key's fingerprint as ssh-add(1) shows it.
func sshAgent(t *testing.T) (socket, fingerprint string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ag-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	key, socket := filepath.Join(dir, "key"), filepath.Join(dir, "s")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of the agent", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "the agent", func() bool {
		add := exec.Command("ssh-add", "-q", key)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		return add.Run() == nil
	})
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys, err := agent.NewClient(c).List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("the agent's keys: %v, %v", keys, err)
	}
	out, err := exec.Command("ssh-keygen", "-lf", key).Output()
	if err != nil {
		t.Fatal(err)
	}
	return socket, strings.Fields(string(out))[1]
}

// ssh -A: the container's programs use the client's keys; many sessions at once,
// each through a socket of its own that only its user can reach, and that is
// gone afterwards.
func TestAgent(t *testing.T) {
	t.Parallel()
	socket, fingerprint := sshAgent(t)
	for name, execution := range map[string]string{
		"connection mode": "",
		"session mode":    "mode: session",
		"another user":    "user: '%u'\nshellCommand: [/bin/bash]",
		"read-only":       "host: {networkmode: none, readonlyrootfs: true}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serverOf(t, testguest.Debian(t), "", execution)
			user := "root"
			if strings.Contains(execution, "user:") {
				user = "nobody"
			}
			_, host, _ := strings.Cut(server.Destination, "@")
			server.Destination = user + "@" + host
			m := newMaster(t, server, "-o", "ForwardAgent="+socket)
			use := func(command string) (stdout, stderr string, code int) {
				return m.output([]string{"-A"}, command)
			}
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if out, err, code := use("ssh-add -l"); code != 0 || !strings.Contains(out, fingerprint) {
						t.Errorf("exit code %d, %q, %q; want %s", code, out, err, fingerprint)
					}
				})
			}
			all.Wait()
			out, _, _ := use(`id -un; stat -c '%U %a' $(dirname $SSH_AUTH_SOCK) $SSH_AUTH_SOCK`)
			if want := user + "\n" + user + " 700\n" + user + " 600\n"; out != want {
				t.Errorf("%q, want %q", out, want)
			}
			if out, _, _ := m.output(nil, "ls -d /tmp/berth-* /dev/shm/berth-*; echo $SSH_AUTH_SOCK"); out != "\n" {
				t.Errorf("left, or there without -A: %q", out)
			}
		})
	}
}

// Without permission, and without -A, there is none.
func TestNoAgent(t *testing.T) {
	t.Parallel()
	socket, _ := sshAgent(t)
	server := serverOf(t, testguest.Busybox(t), "forwarding: {disableAgent: true, disableX11: true}", "")
	m := newMaster(t, server, "-o", "ForwardAgent="+socket)
	if out, _, code := m.output([]string{"-A"}, "echo $SSH_AUTH_SOCK; exit 3"); out != "\n" || code != 3 {
		t.Errorf("%q, %d", out, code)
	}
	waitFor(t, "the request in the log", func() bool { return strings.Contains(server.Log(), "auth-agent-req@openssh.com") })
}
