package parity

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// startBerth starts a server whose users land in the guest, and ends it with
// the test.
func startBerth(t *testing.T, guest, agent, mode string, env []string) target {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	var list strings.Builder
	for _, v := range env {
		fmt.Fprintf(&list, "\n        - %q", v)
	}
	// Nothing of the image is used where the agent is injected.
	commands, command := "", ""
	if agent != "inject" {
		// sshd gives the shell its bare name, too.
		commands = "    shellCommand: [bash]\n    idleCommand: [sleep, infinity]\n    host: {init: true}"
		command = "cmd: [/bin/bash]"
	}
	config := fmt.Sprintf(`
auth: {publicKey: {files: [%q]}}
docker:
  connection: {host: %q}
  execution:
    agent: %s
    mode: %s
    imagePullPolicy: Never
%s
    container:
      image: %q
      %s
      workingdir: /root
      networkdisabled: true
      labels: {%s: "1"}
      env:%s
log: {level: debug}
`, key+".pub", testguest.EngineHost(), agent, mode, commands, guest, command, testguest.Label, list.String())
	server := testberth.Start(t, config, filepath.Join(dir, "state"))
	return target{
		name:        agent + "/" + mode,
		options:     append(server.Options, "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
		destination: server.Destination,
	}
}
