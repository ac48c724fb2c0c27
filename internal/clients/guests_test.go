package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// inside is where containers have the directory of this machine.
const inside = "/data"

// guest is what users land in.
type guest struct {
	name string
	// image is nil for the built-in one.
	image func(testing.TB) string
	// container and host are further settings, in YAML.
	container, host string
	// owner is the user who is to own what is in the shared directory.
	owner int
	// scripts are the directories whose scripts run here.
	scripts []string
}

var guests = []guest{
	{name: "debian", image: testguest.Debian, scripts: []string{"any", "shell", "debian"}},
	{name: "busybox", image: testguest.Busybox, scripts: []string{"any", "shell", "openssh"}},
	{name: "built-in", scripts: []string{"any", "shell", "openssh"}},
	{name: "scratch", image: testguest.Scratch, scripts: []string{"any", "scratch"}},
	{name: "confined", image: testguest.Debian, container: "user: guest", host: "readonlyrootfs: true\n      tmpfs: {/tmp: mode=1777}", owner: 1000,
		scripts: []string{"any", "shell", "confined"}},
}

// server is a running server for a guest, by the ways in which clients reach it.
type server struct {
	guest
	port, user string
	// key and knownHosts are files; hostKey is the fingerprint of the server's.
	key, knownHosts, hostKey string
	// shared is the directory that containers have at inside.
	shared string
}

// start starts a server for a guest, which ends with the test.
func (g guest) start(t *testing.T) *server {
	t.Helper()
	s := &server{guest: g, shared: temporary(t)}
	s.key = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", s.key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	image := ""
	if g.image != nil {
		image = fmt.Sprintf("\n      image: %q", g.image(t))
	}
	config := fmt.Sprintf(`
auth: {publicKey: {files: [%q]}}
docker:
  connection: {host: %q}
  execution:
    container:%s
      labels: {%s: "1"}
      %s
    host:
      binds: [%q]
      %s
log: {level: warn}
`, s.key+".pub", testguest.EngineHost(), image, testguest.Label, g.container, s.shared+":"+inside, g.host)
	b := testberth.Start(t, config, filepath.Join(t.TempDir(), "state"))
	s.user, _, _ = strings.Cut(b.Destination, "@")
	for _, option := range b.Options {
		if port, ok := strings.CutPrefix(option, "Port="); ok {
			s.port = port
		}
		if file, ok := strings.CutPrefix(option, "UserKnownHostsFile="); ok {
			s.knownHosts = file
		}
	}
	if s.user == "" || s.port == "" || s.knownHosts == "" {
		t.Fatalf("the ready line has no port, user or file of known hosts: %q %s", b.Options, b.Destination)
	}
	known, err := os.ReadFile(s.knownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, hostKey, _, _, err := ssh.ParseKnownHosts(known)
	if err != nil {
		t.Fatal(err)
	}
	s.hostKey = ssh.FingerprintSHA256(hostKey)
	return s
}

// temporary is a directory that containers can be given. What other users leave
// in it may not be for the test to remove.
func temporary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-clients-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil && os.Getuid() == 0 {
			t.Error(err)
		}
	})
	// For whoever the container's user is.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
