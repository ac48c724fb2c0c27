package docker_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/sshserver"
)

func injected(image string, host *container.HostConfig, user string) docker.Config {
	return docker.Config{
		Connection: docker.ConnectionConfig{Host: testguest.EngineHost()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{
				ContainerConfig: &container.Config{Image: image, User: user, Labels: map[string]string{testguest.Label: "1"}, NetworkDisabled: true},
				HostConfig:      host,
			},
			Agent:           docker.AgentInject,
			ImagePullPolicy: docker.ImagePullPolicyNever,
		},
	}
}

// The agent runs in any image: without a shell, with a read-only root file
// system, as any user, and beside an idle command.
func TestInject(t *testing.T) {
	busybox, scratch := testguest.Busybox(t), testguest.Scratch(t)
	idle := injected(busybox, nil, "")
	idle.Execution.IdleCommand = []string{"/bin/sleep", "1000"}
	for _, c := range []struct {
		name    string
		config  docker.Config
		command string
		code    uint32
		stdout  string
		stderr  string
	}{
		{"busybox", injected(busybox, nil, ""), "echo $0 $HOME; exit 3", 3, "sh /root\n", ""},
		{"read-only", injected(busybox, &container.HostConfig{ReadonlyRootfs: true}, ""), "touch /x; exit 4", 4, "", "Read-only"},
		{"another user", injected(busybox, nil, "1234:1234"), "id -u; echo $USER", 0, "1234\n1234\n", ""},
		{"agent is not to be changed", injected(busybox, nil, ""), "touch /.berth/agent", 1, "", "Read-only"},
		{"a volume without a name", injected(busybox, &container.HostConfig{Binds: []string{"/scratch"}}, ""), "grep -c ' /scratch ' /proc/mounts", 0, "1\n", ""},
		{"without capabilities", injected(busybox, &container.HostConfig{CapDrop: []string{"ALL"}}, ""), "echo fine", 0, "fine\n", ""},
		{"idle command", idle, "cat /proc/1/cmdline | tr '\\0' ' '; exit 5", 5, "/bin/sleep 1000 ", ""},
		{"scratch", injected(scratch, nil, ""), "/guest print 'a b' c", 0, "a b\nc\n", ""},
		{"scratch, not there", injected(scratch, nil, ""), "/nothing", 127, "", "/nothing: not found"},
		{"scratch, read-only, somebody", injected(scratch, &container.HostConfig{ReadonlyRootfs: true}, "65534"), "/guest exit 6", 6, "", ""},
		{"scratch, a shell's work", injected(scratch, nil, ""), "/guest print $HOME", 126, "", "no shell in this image"},
	} {
		want := func(t *testing.T, status sshserver.ExitStatus, stdout, stderr string) {
			t.Helper()
			if status.Code != c.code || stdout != c.stdout || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
				t.Errorf("exit %+v, stdout %q, stderr %q; want %d, %q, %q", status, stdout, stderr, c.code, c.stdout, c.stderr)
			}
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := login(t, c.config, t.Name(), c.command)
			want(t, status, stdout, stderr)
		})
		t.Run(c.name+", by socket", func(t *testing.T) {
			t.Parallel()
			b, sockets := withSockets(t, c.config)
			handler, err := b.Handler(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, t.Name())
			if err != nil {
				t.Fatal(err)
			}
			status, stdout, stderr := runAs(t, "tester", handler, c.command)
			want(t, status, stdout, stderr)
			sockets.wantReached(t)
		})
	}
}

// Whoever removes the agent's volume does no harm: it is made again.
func TestInjectAgain(t *testing.T) {
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cfg := injected(testguest.Busybox(t), nil, "")
	if status, _, stderr := login(t, cfg, t.Name(), "true"); status.Code != 0 {
		t.Fatalf("exit %+v, %s", status, stderr)
	}
	// Others may be using it at this moment, and then it can't be removed: that
	// shows nothing, but is no failure of what is tested here.
	volumes, err := e.ListVolumes(t.Context(), "berth-agent-")
	if err != nil || len(volumes) == 0 {
		t.Fatalf("volumes %v, %v", volumes, err)
	}
	for _, v := range volumes {
		if err := e.RemoveVolume(context.Background(), v.Name); err != nil {
			t.Logf("in use: %v", err)
		}
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if status, stdout, stderr := login(t, cfg, t.Name()+string(rune('a'+i)), "echo fine"); status.Code != 0 || stdout != "fine\n" {
				t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
			}
		})
	}
	all.Wait()
}

// Programs run as whom the configuration says, with that user's home and shell.
func TestUser(t *testing.T) {
	busybox := testguest.Busybox(t)
	const command = "id -un; echo $USER $LOGNAME $HOME $SHELL; pwd"
	for _, c := range []struct {
		name, login, container, user string
		code                         uint32
		stdout, stderr               string
	}{
		{"of the container", "tester", "guest", "", 0, "guest\nguest guest /home/guest /bin/sh\n/home/guest\n", ""},
		{"by name", "tester", "", "guest", 0, "guest\nguest guest /home/guest /bin/sh\n/home/guest\n", ""},
		{"by number", "tester", "", "1000", 0, "guest\nguest guest /home/guest /bin/sh\n/home/guest\n", ""},
		{"the login name", "guest", "", "%u", 0, "guest\nguest guest /home/guest /bin/sh\n/home/guest\n", ""},
		{"nobody of that name", "tester", "", "%u", 127, "", `there is no user "tester" in this image`},
		{"a login that is a number", "0", "", "%u", 255, "", `"0" is not the name of a user`},
		{"a login that is no name", "a/../b", "", "%u", 255, "", "is not the name of a user"},
		{"out of reach", "tester", "1000", "root", 255, "", "only root can"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := injected(busybox, nil, c.container)
			config.Execution.User = c.user
			status, stdout, stderr := loginAs(t, c.login, config, t.Name(), command)
			if status.Code != c.code || stdout != c.stdout || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
				t.Errorf("exit %+v, stdout %q, stderr %q; want %d, %q, %q", status, stdout, stderr, c.code, c.stdout, c.stderr)
			}
		})
	}
}

// A forced command takes the place of the client's, in every way and mode.
func TestForceCommand(t *testing.T) {
	guest := testguest.WithAgent(t, testguest.Busybox(t))
	for _, mode := range modes {
		for _, agent := range []docker.AgentMode{docker.AgentNone, docker.AgentImage, docker.AgentInject} {
			t.Run(string(mode)+"/"+string(agent), func(t *testing.T) {
				t.Parallel()
				c := config(guest, mode, agent)
				c.Execution.ForceCommand = `echo "instead of $SSH_ORIGINAL_COMMAND"; exit 9`
				status, stdout, stderr := login(t, c, t.Name(), "rm -rf 'a  b'")
				if status.Code != 9 || stdout != "instead of rm -rf 'a  b'\n" {
					t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
				}
			})
		}
	}
	t.Run("internal-sftp", func(t *testing.T) {
		t.Parallel()
		c := injected(guest, nil, "")
		c.Execution.ForceCommand = "internal-sftp"
		// An SFTP server without a client ends with its input.
		status, stdout, stderr := login(t, c, t.Name(), "echo not this")
		if status.Code != 0 || stdout != "" || stderr != "" {
			t.Errorf("exit %+v, stdout %q, stderr %q", status, stdout, stderr)
		}
	})
}

// A shell on a terminal begins with the image's message of the day; nothing else
// does.
func TestMessageOfTheDay(t *testing.T) {
	motd := filepath.Join(t.TempDir(), "motd")
	if err := os.WriteFile(motd, []byte("Welcome\nto the lab\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := injected(testguest.Busybox(t), &container.HostConfig{Binds: []string{motd + ":/etc/motd:ro"}}, "")
	handler, err := docker.New(net.TCPAddr{}, t.Name(), c, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer handler.OnDisconnect()
	ssh, err := handler.OnHandshakeSuccess("tester")
	if err != nil {
		t.Fatal(err)
	}
	for i, terminal := range []bool{true, false} {
		session, err := ssh.OnSessionChannel(uint64(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		if terminal {
			if err := session.OnPtyRequest(0, "xterm", 80, 24, 0, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
		var out lockedBuffer
		exit := make(chan sshserver.ExitStatus, 1)
		if err := session.OnShell(1, strings.NewReader("exit 4\n"), &out, &out, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
			t.Fatal(err)
		}
		status := <-exit
		if got := strings.HasPrefix(out.String(), "Welcome\r\nto the lab\r\n"); status.Code != 4 || got != terminal {
			t.Errorf("terminal %v: exit %+v, %q", terminal, status, out.String())
		}
		session.OnClose()
	}
}
