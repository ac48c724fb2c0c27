package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// endpoint is an SSH server to be measured.
type endpoint struct {
	name string
	// options and destination are for ssh's command line.
	options     []string
	destination string

	addr, user, keyFile string
	// knownHosts is the file with the server's key; empty takes any key.
	knownHosts string

	// settle waits until nothing is left of connections that have ended; may
	// be nil.
	settle func(ctx context.Context) error
}

// newEndpoint makes one of what is needed to reach it.
func newEndpoint(name, addr, user, keyFile, knownHosts string) (*endpoint, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	check := []string{"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + knownHosts}
	if knownHosts == "" {
		check = []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"}
	}
	return &endpoint{
		name: name, addr: addr, user: user, keyFile: keyFile, knownHosts: knownHosts,
		options: append([]string{
			"-F", "none", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
			"-o", "GlobalKnownHostsFile=/dev/null", "-p", port, "-i", keyFile,
		}, check...),
		destination: user + "@" + host,
	}, nil
}

// targets is the flag -target.
type targets []string

func (t *targets) String() string { return strings.Join(*t, ",") }

func (t *targets) Set(text string) error {
	name, addr, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("want name=host:port")
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return err
	}
	*t = append(*t, text)
	return nil
}

// endpoints are the targets as servers. The key is one of the caller's own, if
// none is given.
func (t targets) endpoints(userName, keyFile string) ([]*endpoint, error) {
	var list []*endpoint
	for _, text := range t {
		name, addr, _ := strings.Cut(text, "=")
		if userName == "" {
			me, err := user.Current()
			if err != nil {
				return nil, err
			}
			userName = me.Username
		}
		if keyFile == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, err
			}
			keyFile = filepath.Join(home, ".ssh", "id_ed25519")
		}
		if _, err := os.Stat(keyFile); err != nil {
			return nil, fmt.Errorf("no key to log in to %s with: %w; name one with -i", name, err)
		}
		e, err := newEndpoint(name, addr, userName, keyFile, "")
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// ssh is a command of stock ssh. What it says on standard error is part of the
// error of run.
func (e *endpoint) ssh(ctx context.Context, extra []string, command ...string) *exec.Cmd {
	args := append(append(append([]string{}, extra...), e.options...), e.destination)
	return exec.CommandContext(ctx, "ssh", append(args, command...)...)
}

// run runs a command to its end, which must be a success.
func run(cmd *exec.Cmd) error {
	said := &tail{}
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said)
	}
	return nil
}

// dial connects without stock ssh.
func (e *endpoint) dial(ctx context.Context) (*ssh.Client, error) {
	text, err := os.ReadFile(e.keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	check := ssh.InsecureIgnoreHostKey()
	if e.knownHosts != "" {
		if check, err = knownhosts.New(e.knownHosts); err != nil {
			return nil, err
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, e.addr, &ssh.ClientConfig{
		User: e.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check,
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// master is a connection of stock ssh that other ssh processes share
// (ControlMaster).
type master struct {
	*endpoint
	child     *child
	directory string
	// cipher is that of what the server sends.
	cipher string
}

var cipherLine = regexp.MustCompile(`server->client cipher: (\S+)`)

// openMaster connects. Whoever calls it closes the master.
func (e *endpoint) openMaster(ctx context.Context) (_ *master, err error) {
	m := &master{endpoint: e}
	if m.directory, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	cmd := e.ssh(ctx, append([]string{"-o", "LogLevel=DEBUG1", "-M", "-N"}, m.control()...))
	if m.child, err = start(cmd); err != nil {
		return nil, err
	}
	for {
		if e.ssh(ctx, append(m.control(), "-O", "check")).Run() == nil {
			break
		}
		select {
		case <-m.child.ended:
			return nil, m.child.lost()
		default:
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if found := cipherLine.FindStringSubmatch(m.child.said.String()); found != nil {
		m.cipher = found[1]
	}
	return m, nil
}

func (m *master) control() []string { return []string{"-S", filepath.Join(m.directory, "control")} }

// session is a command that runs over the connection.
func (m *master) session(ctx context.Context, command string) *exec.Cmd {
	return m.ssh(ctx, append([]string{"-o", "ControlMaster=no"}, m.control()...), command)
}

func (m *master) close() {
	if m.child != nil {
		_ = m.child.stop() // killed then, which is as good
	}
	_ = os.RemoveAll(m.directory)
}
