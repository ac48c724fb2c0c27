//go:build linux

package guest

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-ssh/berth/internal/scpserver"
)

// scpName is the name under which the agent is scp; there is a link of that name
// beside it.
const scpName = "scp"

// scp is the scp subcommand: the other end of a client's scp.
func scp(args []string) int { return scpserver.Run(args, os.Stdin, os.Stdout, os.Stderr) }

// withSCP is the environment for a command line. Clients that do not use SFTP run
// "scp -t" or "scp -f": where the image has no scp, the agent is found under that
// name, after all else.
func withSCP(command string, env []string) []string {
	if !strings.HasPrefix(command, scpName+" -") {
		return env
	}
	if path, err := lookPath(scpName, env); err == nil && exists(path) {
		return env
	}
	self, err := os.Executable()
	if err != nil || !exists(filepath.Join(filepath.Dir(self), scpName)) {
		return env
	}
	path := defaultPath
	for _, kv := range env {
		if p, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = p
		}
	}
	return setenv(env, "PATH", "PATH="+path+":"+filepath.Dir(self))
}
