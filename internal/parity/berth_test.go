package parity

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/internal/testguest"
)

// program is the server under test, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-parity-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "berth")
	out, err := exec.Command("go", "build", "-o", path, "github.com/berth-ssh/berth/cmd/berth").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// startBerth starts a server whose users land in the guest, and ends it with
// the test.
func startBerth(t *testing.T, guest, agent, mode string, env []string) target {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	var list strings.Builder
	for _, v := range env {
		fmt.Fprintf(&list, "\n        - %q", v)
	}
	config := filepath.Join(dir, "berth.yaml")
	text := fmt.Sprintf(`
auth: {publicKey: {files: [%q]}}
docker:
  connection: {host: %q}
  execution:
    agent: %s
    mode: %s
    shellCommand: [bash] # sshd gives the shell its bare name, too
    idleCommand: [sleep, infinity]
    imagePullPolicy: Never
    host: {init: true}
    container:
      image: %q
      cmd: [/bin/bash]
      workingdir: /root
      labels: {%s: "1"}
      env:%s
log: {level: warn}
`, key+".pub", testguest.EngineHost(), agent, mode, guest, testguest.Label, list.String())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--config", config, "--listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "state"))
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	words := strings.Fields(ready)
	if err != nil || len(words) < 3 || words[0] != "ssh" {
		t.Fatalf("no ready line: %q, %v", ready, err)
	}
	return target{
		name:        agent + "/" + mode,
		options:     append(words[1:len(words)-1], "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
		destination: words[len(words)-1],
	}
}
