package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/sshserver"
)

// The ready line works as it is printed: without a prompt, whatever the state
// directory is called, and whatever other keys and settings there are.
func TestReadyLineWorksWithOpenSSH(t *testing.T) {
	for _, name := range []string{"plain", "two words", "50%h", `it's "quoted"`, "dollar$HOME", "naïve"} {
		t.Run(name, func(t *testing.T) {
			s, err := openState(filepath.Join(t.TempDir(), name))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			hostKeys, err := s.hostKeys(nil)
			if err != nil {
				t.Fatal(err)
			}
			clientKey, line, err := s.clientKey()
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &sshserver.Server{
				HostKeys: hostKeys,
				Handler: auth.NewHandler(t.Context(), auth.NewAuthorizedKeys(nil, []string{line}, nil),
					func(net.TCPAddr, string) (sshserver.NetworkConnectionHandler, error) { return greeter{}, nil }, nil),
			}
			ended := make(chan error, 1)
			go func() { ended <- server.Serve(l) }()
			defer func() {
				_ = server.Close()
				<-ended
			}()

			ready, err := s.readyLine(l.Addr(), hostKeys, clientKey)
			if err != nil {
				t.Fatal(err)
			}
			ssh := exec.CommandContext(t.Context(), "sh", "-c", ready+" hello")
			ssh.Env = append(os.Environ(), "DISPLAY=", "SSH_ASKPASS_REQUIRE=never")
			var stderr []byte
			stdout, err := ssh.Output()
			if exit, ok := err.(*exec.ExitError); ok {
				stderr = exit.Stderr
			}
			if err != nil || string(stdout) != "hello to berth" {
				t.Errorf("%s\ngot %q, %v\n%s", ready, stdout, err, stderr)
			}
		})
	}
}

// A second server must not use the keys and the name of a running one.
func TestStateDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	first, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := openState(dir); err == nil {
		second.close()
		t.Fatal("two servers have one state directory")
	}
	first.close()
	second, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if second.instance != first.instance {
		t.Errorf("the server's name changed from %s to %s", first.instance, second.instance)
	}
}

// greeter is a backend that answers a command.
type greeter struct {
	sshserver.NetworkConnectionHandler
	sshserver.SSHConnectionHandler
	sshserver.SessionChannelHandler
}

func (greeter) OnHandshakeFailed(error)    {}
func (greeter) OnDisconnect()              {}
func (greeter) OnShutdown(context.Context) {}
func (greeter) OnClose()                   {}

func (g greeter) OnHandshakeSuccess(string) (sshserver.SSHConnectionHandler, error) {
	return g, nil
}

func (g greeter) OnSessionChannel(uint64, []byte) (sshserver.SessionChannelHandler, error) {
	return g, nil
}

func (greeter) OnUnsupportedGlobalRequest(uint64, string, []byte)  {}
func (greeter) OnUnsupportedChannelRequest(uint64, string, []byte) {}
func (greeter) OnEnvRequest(uint64, string, string) error          { return nil }

func (greeter) OnExecRequest(_ uint64, program string, _ io.Reader, stdout, _ io.Writer, onExit func(sshserver.ExitStatus)) error {
	go func() {
		_, err := fmt.Fprintf(stdout, "%s to berth", program)
		code := uint32(0)
		if err != nil {
			code = 1
		}
		onExit(sshserver.ExitStatus{Code: code})
	}()
	return nil
}
