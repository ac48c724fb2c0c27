package docker_test

import (
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testpodman"
	"github.com/berth-ssh/berth/sshserver"
)

// These tests hold what docs/security.md says against containers of a real
// engine, from the inside.

// attempts are what root in a container must not be able to do. Each that
// succeeds prints its name.
const attempts = attempt + `
try mount mount -t tmpfs none /tmp
try bind mount --bind /root /tmp
try mknod mknod /tmp/disk b 8 0
try namespace unshare -m true
try user-namespace unshare -U true
try hostname hostname other
try log dmesg
try packets arping -c 1 -w 1 -I eth0 $(ip route | grep default | cut -d' ' -f3)
`

const attempt = `
try() { name=$1; shift; "$@" >/dev/null 2>&1 && echo "$name"; }
`

// machineAttempts would reach the machine, and so they change nothing there if
// they succeed.
const machineAttempts = `
try remount mount -o remount,rw /proc/sys
same() { value=$(cat $1) && echo "$value" > $1; }
for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/panic /proc/sys/vm/swappiness /sys/kernel/mm/transparent_hugepage/khugepaged/defrag; do
	try $f same $f
done
try sysrq sh -c 'echo h > /proc/sysrq-trigger'
try clock sh -c "! date -s '$(date '+%Y-%m-%d %H:%M:%S')' 2>&1 | grep 'not permitted'"
try module sh -c '! insmod /bin/busybox 2>&1 | grep "not permitted"'
try kernel-memory head -c 1 /proc/kcore
try disks sh -c 'cat /dev/sd* /dev/vd* /dev/nvme* /dev/mem'
try engine grep -E 'docker.sock|podman.sock|containerd.sock' /proc/self/mountinfo
echo done
`

// Root in a container is confined, in every way and mode, and on either engine.
func TestConfined(t *testing.T) {
	guest := testguest.WithAgent(t, testguest.Busybox(t))
	check := func(t *testing.T, c docker.Config, want string) {
		t.Helper()
		c.Execution.Launch.ContainerConfig.NetworkDisabled = false // for the packets
		status, stdout, stderr := login(t, c, t.Name(), attempts+machineAttempts)
		if status.Code != 0 || stdout != want {
			t.Errorf("exit %+v, %s; root could do %q, and nothing was to be", status, stderr, stdout)
		}
		_, stdout, _ = login(t, c, t.Name()+"2", "cat /proc/self/status")
		for name, want := range map[string]string{
			"NoNewPrivs": "1", "Seccomp": "2",
			// Docker's own list without MKNOD and NET_RAW; Podman's has no
			// AUDIT_WRITE.
			"CapBnd": "00000000[a8]00405fb",
		} {
			if !regexp.MustCompile(`(?m)^` + name + `:\t` + want + `$`).MatchString(stdout) {
				t.Errorf("%s is not %s in %s", name, want, stdout)
			}
		}
	}
	for _, mode := range modes {
		for _, agent := range []docker.AgentMode{docker.AgentNone, docker.AgentImage, docker.AgentInject} {
			t.Run(string(mode)+"/"+string(agent), func(t *testing.T) {
				t.Parallel()
				check(t, config(guest, mode, agent), "done\n")
			})
		}
	}
	t.Run("podman", func(t *testing.T) {
		host := testpodman.Host(t)
		c := config(testguest.BusyboxOn(t, host), docker.ExecutionModeConnection, docker.AgentInject)
		c.Connection.Host = host
		// Its filter of system calls leaves user namespaces to everybody.
		check(t, c, "user-namespace\ndone\n")
	})
	// What is attempted would succeed, if it were allowed.
	t.Run("not confined", func(t *testing.T) {
		t.Parallel()
		c := injected(guest, &container.HostConfig{
			CapAdd:      []string{"SYS_ADMIN", "MKNOD", "NET_RAW", "SYSLOG"},
			SecurityOpt: []string{"no-new-privileges:false", "seccomp=unconfined", "apparmor=unconfined"},
		}, "")
		c.Execution.Launch.ContainerConfig.NetworkDisabled = false
		_, stdout, stderr := login(t, c, t.Name(), attempts)
		for _, name := range []string{"mount", "bind", "mknod", "namespace", "user-namespace", "hostname", "log", "packets"} {
			if !strings.Contains(stdout, name+"\n") {
				t.Errorf("%s did not succeed: the attempt shows nothing; %q, %s", name, stdout, stderr)
			}
		}
	})
}

// place is one connection with its container.
type place struct {
	t       *testing.T
	handler sshserver.NetworkConnectionHandler
	ssh     sshserver.SSHConnectionHandler
	mu      sync.Mutex
	next    uint64
}

func newPlace(t *testing.T, name string, c docker.Config) *place {
	t.Helper()
	handler, err := docker.New(net.TCPAddr{}, t.Name()+name, c, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ssh, err := handler.OnHandshakeSuccess("tester")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, handler: handler, ssh: ssh}
	t.Cleanup(p.leave)
	return p
}

// leave ends the connection, once.
func (p *place) leave() {
	if p.handler != nil {
		p.handler.OnDisconnect()
	}
	p.handler = nil
}

// begin runs a command; wait returns what it has come to.
func (p *place) begin(command string) (wait func() (sshserver.ExitStatus, string, string)) {
	p.t.Helper()
	p.mu.Lock()
	p.next++
	id := p.next
	p.mu.Unlock()
	session, err := p.ssh.OnSessionChannel(id, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(session.OnClose)
	var stdout, stderr lockedBuffer
	exit := make(chan sshserver.ExitStatus, 1)
	if err := session.OnExecRequest(1, command, strings.NewReader(""), &stdout, &stderr, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
		p.t.Fatal(err)
	}
	return func() (sshserver.ExitStatus, string, string) {
		p.t.Helper()
		select {
		case status := <-exit:
			return status, stdout.String(), stderr.String()
		case <-time.After(time.Minute):
			p.t.Fatalf("no end of %q; %s%s", command, stdout.String(), stderr.String())
			panic("not reached")
		}
	}
}

func (p *place) run(command string) (sshserver.ExitStatus, string, string) {
	p.t.Helper()
	return p.begin(command)()
}

// Two users of one engine see nothing of each other's processes, and can't reach
// the agent that both get from one volume, nor the first process of their own
// container.
func TestConfinedNeighbours(t *testing.T) {
	guest := testguest.Busybox(t)
	one, other := newPlace(t, "one", injected(guest, nil, "")), newPlace(t, "other", injected(guest, nil, ""))
	const mark = "sleep 987654"
	sleeping := one.begin("echo started > /tmp/started; exec " + mark)
	one.run("until test -e /tmp/started; do sleep 0.02; done")
	if _, stdout, _ := one.run("ps"); !strings.Contains(stdout, mark) {
		t.Fatalf("not even its own container has %q: %s", mark, stdout)
	}
	if _, stdout, _ := other.run("ps; cat /proc/*/cmdline"); strings.Contains(stdout, "98765") {
		t.Errorf("a neighbour sees %s", stdout)
	}
	status, stdout, stderr := other.run("for f in agent scp new; do echo evil > /.berth/$f; rm -f /.berth/$f; done; chmod 777 /.berth/agent; mount -o remount,rw /.berth; umount /.berth; kill -9 1; kill -9 -1; echo there")
	if status.Code != 0 || stdout != "there\n" || strings.Count(stderr, "Read-only file system") < 4 {
		t.Errorf("exit %+v, %q, %s", status, stdout, stderr)
	}
	// Nothing has become of the neighbour, of the agent, or of the container.
	if status, stdout, stderr := other.run("echo still"); status.Code != 0 || stdout != "still\n" {
		t.Errorf("exit %+v, %q, %s", status, stdout, stderr)
	}
	if status, _, _ := one.run("kill $(pidof sleep)"); status.Code != 0 {
		t.Errorf("exit %+v: the neighbour's program has gone", status)
	}
	if status, _, _ := sleeping(); status.Signal != "TERM" {
		t.Errorf("exit %+v, want what its own user has sent", status)
	}
	if status, stdout, _ := login(t, injected(guest, nil, ""), t.Name()+"third", "cmp /.berth/agent /.berth/agent && echo fine"); status.Code != 0 || stdout != "fine\n" {
		t.Errorf("exit %+v, %q", status, stdout)
	}
}

// The environment of the first process holds what the configuration gives to
// programs and nothing of the server's, and is root's to read.
func TestConfinedEnvironment(t *testing.T) {
	t.Setenv("BERTH_TEST_SECRET", "of the server")
	guest := testguest.Busybox(t)
	c := injected(guest, nil, "")
	_, stdout, _ := login(t, c, t.Name(), `tr '\0' '\n' </proc/1/environ`)
	for line := range strings.Lines(stdout) {
		if name, _, _ := strings.Cut(line, "="); name != "PATH" && name != "HOSTNAME" && name != "HOME" {
			t.Errorf("the first process has %q", line)
		}
	}
	c.Execution.User = "guest"
	if status, _, stderr := login(t, c, t.Name()+"2", "cat /proc/1/environ"); status.Code == 0 || !strings.Contains(stderr, "Permission denied") {
		t.Errorf("exit %+v, %s; somebody else has read it", status, stderr)
	}
}

// Set-user-ID programs give nothing, unless that is allowed.
func TestConfinedSetUserID(t *testing.T) {
	guest := testguest.Debian(t)
	const command = "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id && su guest -c /tmp/id"
	for _, c := range []struct {
		name  string
		host  *container.HostConfig
		gains bool
	}{
		{"as it comes", nil, false},
		{"allowed", &container.HostConfig{SecurityOpt: []string{"no-new-privileges:false"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := login(t, injected(guest, c.host, ""), t.Name(), command)
			if status.Code != 0 || !strings.HasPrefix(stdout, "uid=1000(guest)") || strings.Contains(stdout, "euid=0(root)") != c.gains {
				t.Errorf("exit %+v, %q, %s; root's rights: want %v", status, stdout, stderr, c.gains)
			}
		})
	}
}

// Root has what package managers need: files of others, set-user-ID bits, file
// capabilities, users made by a package's script, which acts as one of them.
func TestConfinedPackageManager(t *testing.T) {
	status, stdout, stderr := login(t, injected(testguest.Debian(t), nil, ""), t.Name(), `
set -e
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/lib/berthtest
printf 'Package: berthtest\nVersion: 1\nArchitecture: all\nMaintainer: a test <test@localhost>\nDescription: a test\n' > /tmp/p/DEBIAN/control
cat > /tmp/p/DEBIAN/postinst <<'END'
#!/bin/sh
set -e
useradd --system --create-home berthtest
install -o berthtest -g berthtest -m 0700 -d /var/lib/berthtest
chown berthtest: /usr/lib/berthtest/file
su berthtest -s /bin/sh -c 'id -un > /var/lib/berthtest/who'
runuser -u berthtest -- touch /var/lib/berthtest/ran
python3 -c 'import os; os.setxattr("/usr/lib/berthtest/net", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))'
END
chmod 755 /tmp/p/DEBIAN/postinst
echo x > /tmp/p/usr/lib/berthtest/file
cp /usr/bin/true /tmp/p/usr/lib/berthtest/suid
cp /usr/bin/true /tmp/p/usr/lib/berthtest/net
chown 1000:1000 /tmp/p/usr/lib/berthtest/suid; chmod 4755 /tmp/p/usr/lib/berthtest/suid
dpkg-deb --build /tmp/p /tmp/p.deb >/dev/null
apt-get install -y -qq /tmp/p.deb >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
cat /var/lib/berthtest/who
stat -c '%U %a' /usr/lib/berthtest/file /usr/lib/berthtest/suid /var/lib/berthtest/ran
/usr/lib/berthtest/net
apt-get remove -y -qq berthtest >/dev/null 2>&1
test ! -e /usr/lib/berthtest/file
`)
	if want := "berthtest\nberthtest 644\nguest 4755\nberthtest 644\n"; status.Code != 0 || stdout != want {
		t.Errorf("exit %+v, %q, %s; want %q", status, stdout, stderr, want)
	}
}

// What runs away with memory is killed, and the user's client hears of it; the
// connection goes on.
func TestConfinedMemory(t *testing.T) {
	host := &container.HostConfig{Resources: container.Resources{Memory: 128 << 20, MemorySwap: 128 << 20}}
	p := newPlace(t, "", injected(testguest.Busybox(t), host, ""))
	if status, stdout, stderr := p.run("exec tail /dev/zero"); status.Signal != "KILL" {
		t.Errorf("exit %+v, %q, %s; want the signal KILL", status, stdout, stderr)
	}
	// Shared memory counts, and has a limit of its own.
	if status, _, stderr := p.run("dd if=/dev/zero of=/dev/shm/x bs=1M count=100"); status.Code != 1 || !strings.Contains(stderr, "No space left") {
		t.Errorf("exit %+v, %s; 100 MiB in shared memory", status, stderr)
	}
	if status, stdout, stderr := p.run("rm -f /dev/shm/x; echo still"); status.Code != 0 || stdout != "still\n" {
		t.Errorf("exit %+v, %q, %s", status, stdout, stderr)
	}
}

// When what is killed is the agent, its sessions are told that they are lost.
func TestConfinedAgentKilled(t *testing.T) {
	p := newPlace(t, "", injected(testguest.Busybox(t), nil, ""))
	lost := p.begin("sleep 1000")
	p.run("until pidof sleep; do :; done")
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ids, err := containers(t)(t.Context(), t.Name())
	if err != nil || len(ids) != 1 {
		t.Fatalf("containers %q, %v", ids, err)
	}
	if err := e.KillContainer(t.Context(), ids[0], "KILL"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := lost(); status.Code != 255 || !strings.Contains(stderr, "it is not known how the program ended") {
		t.Errorf("exit %+v, %q", status, stderr)
	}
}

// The limit of processes is in force: without a setting it is 1024.
func TestConfinedProcesses(t *testing.T) {
	p := newPlace(t, "", injected(testguest.Busybox(t), nil, ""))
	status, stdout, stderr := p.run("n=0; while [ $n -lt 2000 ]; do sleep 1000 >/dev/null 2>&1 & n=$((n+1)); echo $n; done")
	if n := strings.Count(stdout, "\n"); n < 900 || n > 1023 || !strings.Contains(stderr, "can't fork") {
		t.Errorf("exit %+v after %d processes, %s; want somewhat less than 1024", status, n, stderr)
	}
}
