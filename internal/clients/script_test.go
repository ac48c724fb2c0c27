package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestClients(t *testing.T) {
	for _, g := range guests {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := g.start(t)
			// A group, so that the server outlives the scripts, which run in
			// parallel.
			t.Run("scripts", func(t *testing.T) {
				for _, dir := range g.scripts {
					testscript.Run(t, testscript.Params{
						Dir:                 filepath.Join("testdata", dir),
						Setup:               s.setup,
						Cmds:                commands,
						RequireExplicitExec: true,
						RequireUniqueNames:  true,
					})
				}
			})
		})
	}
}

// setup gives a script what doc.go says that it finds.
func (s *server) setup(e *testscript.Env) error {
	shared, err := os.MkdirTemp(s.shared, filepath.Base(e.WorkDir)+"-")
	if err == nil {
		err = os.Chmod(shared, 0o755)
	}
	if err != nil {
		return err
	}
	if err := os.Chown(shared, s.owner, s.owner); err != nil && os.Getuid() == 0 {
		return err
	}
	home := filepath.Join(e.WorkDir, ".home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	for to, from := range map[string]string{"key": s.key, "key.pub": s.key + ".pub", "known_hosts": s.knownHosts} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(e.WorkDir, to), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	e.Setenv("HOME", home)
	e.Setenv("USER", s.user)
	e.Setenv("PORT", s.port)
	e.Setenv("HOSTKEY", s.hostKey)
	e.Setenv("INSIDE", inside+"/"+filepath.Base(shared))
	e.Setenv("OUTSIDE", shared)
	e.Setenv("LC_ALL", "C.UTF-8")
	e.Values["t"] = e.T()
	return os.WriteFile(filepath.Join(e.WorkDir, "ssh_config"), fmt.Appendf(nil, `Host guest
  HostName 127.0.0.1
  Port %s
  User %s
  IdentityFile %[3]s/key
  UserKnownHostsFile %[3]s/known_hosts
  IdentitiesOnly yes
  IdentityAgent none
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
`, s.port, s.user, e.WorkDir), 0o600)
}

// client skips a script, loudly, where a program is missing.
func client(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 3, "client PROGRAM PACKAGE [FILE]")
	if _, err := exec.LookPath(args[0]); err != nil {
		skip(ts, fmt.Sprintf("%v: install Debian's package %s, as \"make setup\" does", err, args[1]))
	}
	if len(args) == 3 {
		if _, err := os.Stat(args[2]); err != nil {
			skip(ts, fmt.Sprintf("%v on this machine", err))
		}
	}
}

// python is the distribution's, which has the distribution's modules.
const python = "/usr/bin/python3"

// module is client for a module of Python's.
func module(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "module NAME PACKAGE")
	if out, err := exec.Command(python, "-W", "ignore", "-c", "import "+args[0]).CombinedOutput(); err != nil {
		skip(ts, fmt.Sprintf("%s cannot import %s: install Debian's package %s, as \"make setup\" does: %s", python, args[0], args[1], out))
	}
}

func skip(ts *testscript.TestScript, because string) {
	ts.Value("t").(testscript.T).Skip(fmt.Sprintf("LOUD: %s is not tested: %s", ts.Name(), because))
}
