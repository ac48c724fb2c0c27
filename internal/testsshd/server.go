package testsshd

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// attempts is how often another port is tried when somebody was faster to take
// the one that was found free.
const attempts = 10

// startTimeout bounds one start.
const startTimeout = 30 * time.Second

// Server is a running sshd.
type Server struct {
	// Addr is host:port on the loopback interface.
	Addr string
	// User may log in.
	User string
	// KeyFile is the path of the private key that logs in.
	KeyFile string
	// KnownHostsFile holds the server's host key.
	KnownHostsFile string

	log  *safeBuffer
	stop func()
}

// Stop ends the server and removes its files.
func (s *Server) Stop() { s.stop() }

// ClientOptions are the arguments with which ssh, before its destination,
// reaches the server, without a question and without any configuration of the
// user or the machine. scp and sftp take them too.
func (s *Server) ClientOptions() []string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return []string{
		"-F", "none", "-o", "Port=" + port, "-i", s.KeyFile,
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + s.KnownHostsFile, "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "StrictHostKeyChecking=yes",
	}
}

// Destination is the user@host for ssh's command line.
func (s *Server) Destination() string {
	host, _, _ := net.SplitHostPort(s.Addr)
	return s.User + "@" + host
}

// files are a server's own files in one directory.
type files struct {
	dir string
}

const (
	hostKeyFile        = "host_key"
	clientKeyFile      = "client_key"
	authorizedKeysFile = "authorized_keys"
	knownHostsFile     = "known_hosts"
	configFile         = "sshd_config"
)

// makeFiles writes keys, and known_hosts for the port.
func makeFiles(dir string) (files, error) {
	f := files{dir: dir}
	if _, err := f.makeKey(hostKeyFile); err != nil {
		return f, err
	}
	client, err := f.makeKey(clientKeyFile)
	if err != nil {
		return f, err
	}
	return f, os.WriteFile(f.path(authorizedKeysFile), ssh.MarshalAuthorizedKey(client), 0o644)
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) makeKey(name string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.path(name), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(f.path(name)+".pub", ssh.MarshalAuthorizedKey(key), 0o644)
}

// listenOn writes what depends on the port: the configuration, in which sshd
// finds its files below seenAt, and known_hosts.
func (f files) listenOn(port int, seenAt string, extra []string) error {
	lines := append([]string{
		"Port " + strconv.Itoa(port),
		"ListenAddress 127.0.0.1",
		"HostKey " + seenAt + "/" + hostKeyFile,
		"AuthorizedKeysFile " + seenAt + "/" + authorizedKeysFile,
		"PidFile none",
		// The directory above may belong to anybody.
		"StrictModes no",
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password",
		"PermitUserEnvironment no",
		"AcceptEnv LANG LC_* BERTH_*",
		"PrintMotd no",
		"PrintLastLog no",
		"UseDNS no",
		// Tests open many connections at once.
		"MaxStartups 1000",
		"MaxSessions 1000",
		"LogLevel ERROR",
		"Subsystem sftp internal-sftp",
	}, extra...)
	if err := os.WriteFile(f.path(configFile), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	key, err := os.ReadFile(f.path(hostKeyFile + ".pub"))
	if err != nil {
		return err
	}
	return os.WriteFile(f.path(knownHostsFile), fmt.Appendf(nil, "[127.0.0.1]:%d %s", port, key), 0o644)
}

// errEnded is returned by a start whose sshd has ended, as it does when its
// port is taken.
var errEnded = errors.New("sshd has ended")

// launched is an sshd whose start has been tried. ended is closed when it has
// ended by itself; end ends it and waits for that.
type launched struct {
	ended <-chan struct{}
	end   func()
}

// launch starts an sshd, which writes its log to log.
type launch func(ctx context.Context, f files, log *safeBuffer) (launched, error)

// start makes files and runs launch with one free port after another until
// sshd answers there.
func start(ctx context.Context, user, seenAt string, extra []string, launch launch) (*Server, error) {
	// Not a test's directory, whose name holds the test's name, and so whatever
	// a test is called would have to be quoted in sshd's configuration.
	dir, err := os.MkdirTemp("", "sshd-")
	if err != nil {
		return nil, err
	}
	s, err := startWith(ctx, dir, user, seenAt, extra, launch)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start sshd: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

func startWith(ctx context.Context, dir, user, seenAt string, extra []string, launch launch) (*Server, error) {
	f, err := makeFiles(dir)
	if err != nil {
		return nil, err
	}
	if seenAt == "" {
		seenAt = dir
	}
	for range attempts {
		port, portErr := freePort()
		if portErr != nil {
			return nil, portErr
		}
		if err = f.listenOn(port, seenAt, extra); err != nil {
			return nil, err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		log := &safeBuffer{}
		var l launched
		if l, err = launchOn(ctx, addr, f, log, launch); err == nil {
			return &Server{
				Addr: addr, User: user,
				KeyFile: f.path(clientKeyFile), KnownHostsFile: f.path(knownHostsFile),
				log: log,
				stop: func() {
					l.end()
					_ = os.RemoveAll(dir)
				},
			}, nil
		}
		err = fmt.Errorf("%w\n%s", err, log.String())
		if !errors.Is(err, errEnded) {
			break
		}
	}
	return nil, err
}

// launchOn launches and waits for an answer. What it returns without one has
// been ended.
func launchOn(ctx context.Context, addr string, f files, log *safeBuffer, launch launch) (launched, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	l, err := launch(ctx, f, log)
	if err == nil {
		if err = answers(ctx, addr, l.ended); err != nil {
			l.end()
		}
	}
	return l, err
}

func answers(ctx context.Context, addr string, ended <-chan struct{}) error {
	for {
		if err := greets(ctx, addr); err == nil {
			break
		} else if ctx.Err() != nil {
			return fmt.Errorf("no answer at %s: %w", addr, err)
		}
		select {
		case <-ended:
			return errEnded
		case <-time.After(10 * time.Millisecond):
		}
	}
	// Somebody else may be the one who answers at that port.
	select {
	case <-ended:
		return errEnded
	default:
		return nil
	}
}

// greets waits for the line with which an SSH server begins (RFC 4253 section
// 4.2).
func greets(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-2.0-OpenSSH") {
		err = fmt.Errorf("no OpenSSH there, but %q", line)
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
