package config

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/internal/settings"
	"github.com/berth-ssh/berth/sshserver"
)

// Check reads a file as Load does, and looks at the files that it names. It
// returns what would keep the server from doing what the file says, and what is
// allowed but will surprise. It does not look at the engine.
func Check(path string) (problems, warnings Problems) {
	text, err := readFile(path)
	if err != nil {
		return Problems{{File: path, Err: errors.Unwrap(err)}}, nil
	}
	c, s, err := read(path, text)
	if err != nil {
		var list Problems
		if !errors.As(err, &list) {
			list = Problems{{File: path, Err: err}}
		}
		return list, nil
	}
	broken, usable := c.checkFiles()
	return s.problems(broken.Err()), s.problems(c.surprises(usable).Err())
}

// checkFiles looks at the files of the configuration, and counts the keys that
// may log in.
func (c *Config) checkFiles() (broken settings.Errors, usable int) {
	for i, path := range c.SSH.HostKeys {
		if _, err := sshserver.LoadHostKeys(path); err != nil {
			broken.Add("ssh.hostKeys."+index(i), "%w", err)
		}
	}
	for i, path := range c.Auth.PublicKey.Files {
		n, problems := auth.CheckAuthorizedKeys([]string{path}, nil)
		usable += n
		for _, problem := range problems {
			broken.Add("auth.publicKey.files."+index(i), "%w", problem)
		}
	}
	for i, key := range c.Auth.PublicKey.Keys {
		n, problems := auth.CheckAuthorizedKeys(nil, []string{key})
		usable += n
		for _, problem := range problems {
			broken.Add("auth.publicKey.keys."+index(i), "%w", errors.Unwrap(problem))
		}
		if n == 0 && len(problems) == 0 {
			broken.Add("auth.publicKey.keys."+index(i), "is no key")
		}
	}
	return broken, usable
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// surprises tells what is allowed but is probably not what is meant.
func (c *Config) surprises(usableKeys int) settings.Errors {
	var w settings.Errors
	listed := len(c.Auth.PublicKey.Files) + len(c.Auth.PublicKey.Keys)
	switch {
	case usableKeys > 0:
	case listed > 0:
		w.Add("auth.publicKey", "lists no key that could be used, so nobody can log in")
	case loopback(c.SSH.Listen):
		w.Add("auth.publicKey", "lists no key, so only the client key in the state directory can log in; add files or keys")
	default:
		w.Add("auth.publicKey", "lists no key, so only the client key in the state directory can log in, though the server listens on %s for others; add files or keys", c.SSH.Listen)
	}
	if host := c.Docker.Connection; strings.HasPrefix(host.Host, "tcp://") && host.CaCert == "" && host.Cert == "" && !loopback(strings.TrimPrefix(host.Host, "tcp://")) {
		w.Add("docker.connection.host", "is spoken to without TLS: whoever can reach it, or listen in, is root on that machine; set cacert, cert and key")
	}
	x := c.Docker.Execution
	if name := x.Launch.ContainerName; name != "" {
		w.Add("docker.execution.containername", "%q lets only one container exist at a time: a second user is turned away", name)
	}
	if len(x.ShellCommand) == 1 && strings.Contains(x.ShellCommand[0], " ") {
		w.Add("docker.execution.shellCommand", "%q is the name of one program; write each argument as an entry of its own", x.ShellCommand[0])
	}
	if len(x.IdleCommand) == 1 && strings.Contains(x.IdleCommand[0], " ") {
		w.Add("docker.execution.idleCommand", "%q is the name of one program; write each argument as an entry of its own", x.IdleCommand[0])
	}
	if h := x.Launch.HostConfig; h != nil {
		if h.Privileged {
			w.Add("docker.execution.host.privileged", "makes every user as good as root on the engine's machine")
		}
		for _, bind := range h.Binds {
			if slices.ContainsFunc([]string{"/:", "/var/run/docker.sock:", "/run/docker.sock:"}, func(p string) bool { return strings.HasPrefix(bind, p) }) {
				w.Add("docker.execution.host.binds", "%q makes every user as good as root on the engine's machine", bind)
			}
		}
		for _, name := range h.CapAdd {
			if name := strings.TrimPrefix(strings.ToUpper(name), "CAP_"); name == "ALL" || name == "SYS_ADMIN" {
				w.Add("docker.execution.host.capadd", "%s makes every user who is root in the container as good as root on the engine's machine", name)
			}
		}
		if h.PidMode.IsHost() {
			w.Add("docker.execution.host.pidmode", "host shows every user all programs of the engine's machine, which root in the container can end, and look into")
		}
		if h.NetworkMode.IsHost() {
			w.Add("docker.execution.host.networkmode", "host lets every user reach what listens on the engine's machine itself")
		}
	}
	return w
}

// loopback tells whether an address can be reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
