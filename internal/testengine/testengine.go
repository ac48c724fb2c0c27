// Package testengine runs a Docker Engine of a test's own, which may be stopped,
// killed, frozen, and run out of disk. It has namespaces of its own for processes
// and mounts: nothing of it outlives the test, whatever has happened to it. It
// makes no network and leaves the machine's as it is.
package testengine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
)

// patience bounds waiting for what must happen, on a busy machine.
const patience = 3 * time.Minute

// Engine is a running engine, unless a method has just ended it. Methods fail the
// test when they can't do what they are for.
type Engine struct {
	t         testing.TB
	directory string
	holder    *exec.Cmd // of the namespaces
	disk      string    // a size for mount(8), empty for the machine's disk
	pid       string    // of the daemon, in its own namespace
}

// Start starts an engine that ends with the test. disk bounds what it may store,
// such as "64m"; it is in memory then. Where there can be no engine the test is
// skipped, loudly.
func Start(t testing.TB, disk string) *Engine {
	t.Helper()
	for _, program := range []string{"dockerd", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil || os.Getuid() != 0 {
			t.Skipf("LOUD: no Docker Engine of the test's own (it needs root, dockerd, unshare and nsenter): %v", err)
		}
	}
	directory, err := os.MkdirTemp("", "engine") // a test's own can be too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{t: t, directory: directory, disk: disk}
	// The first process of a namespace has to be there for as long as it. The one of
	// the network: an engine without a bridge takes away the one of another engine.
	e.holder = exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", "echo; sleep infinity & wait")
	ready, err := e.holder.StdoutPipe()
	if err == nil {
		err = e.holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Skipf("LOUD: no Docker Engine of the test's own: this machine allows no namespaces: %v", err)
	}
	if disk != "" {
		e.run("mkdir -p $0/data && mount -t tmpfs -o size="+disk+" tmpfs $0/data", directory)
	}
	if err := os.WriteFile(e.path("daemon.json"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Up()
	return e
}

func (e *Engine) path(name string) string { return filepath.Join(e.directory, name) }

// Host is the engine's address.
func (e *Engine) Host() string { return "unix://" + e.path("docker.sock") }

// run runs a script in the engine's namespaces, with arguments from $0 on, and
// returns what it prints.
func (e *Engine) run(script string, args ...string) string {
	e.t.Helper()
	out, err := e.enter(script, args...).CombinedOutput()
	if err != nil {
		e.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (e *Engine) enter(script string, args ...string) *exec.Cmd {
	namespace := func(name string) string { return fmt.Sprintf("/proc/%d/ns/%s", e.holder.Process.Pid, name) }
	return exec.Command("nsenter", append([]string{"--pid=" + namespace("pid_for_children"), "--mount=" + namespace("mnt"),
		"--net=" + namespace("net"), "--", "sh", "-c", script}, args...)...)
}

// Up starts the daemon, and returns when it answers.
func (e *Engine) Up() {
	e.t.Helper()
	// In the background, so that its parent is the holder: that one does not mind
	// whether it has been stopped.
	e.pid = e.run(`cd "$0" && dockerd --config-file daemon.json --data-root "$0/data" --exec-root "$0/exec" --pidfile "$0/pid" \
		--host "unix://$0/docker.sock" --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
		--cgroup-parent "$1" >>log 2>&1 </dev/null & echo $!`, e.directory, e.cgroup())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := engine.Open(engine.Settings{Host: e.Host(), Timeout: time.Second})
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	if err := engine.Retry(ctx, func(ctx context.Context) error {
		_, err := client.ListContainers(ctx, nil)
		return err
	}); err != nil {
		log, _ := os.ReadFile(e.path("log"))
		e.t.Fatalf("the engine does not answer: %v\n%s", err, log)
	}
}

// cgroup is where the engine has its containers' groups.
func (e *Engine) cgroup() string { return "/berth-test-" + filepath.Base(e.directory) }

// Stop ends the daemon as an operator does, and returns when it has ended.
func (e *Engine) Stop() { e.t.Helper(); e.signal("TERM"); e.ended() }

// Kill ends the daemon as an accident does. Its containers go on.
func (e *Engine) Kill() { e.t.Helper(); e.signal("KILL"); e.ended() }

// Freeze stops the daemon in its tracks, until Thaw: it accepts connections, and
// answers nothing.
func (e *Engine) Freeze() {
	e.t.Helper()
	e.signal("STOP")
	// Its threads stop one after another, and those that still run may answer.
	e.run("while grep -h '^State:' /proc/$0/task/*/status | grep -qv T; do sleep 0.02; done", e.pid)
}

// Thaw lets it go on.
func (e *Engine) Thaw() { e.t.Helper(); e.signal("CONT") }

func (e *Engine) signal(name string) { e.t.Helper(); e.run("kill -s $0 $1", name, e.pid) }

func (e *Engine) ended() {
	e.t.Helper()
	e.run("while kill -0 $0 2>/dev/null && ! grep -q 'State:.Z' /proc/$0/status; do sleep 0.02; done", e.pid)
}

// FillDisk leaves no byte of the engine's disk, and FreeDisk gives them back. They
// need a disk of the engine's own.
func (e *Engine) FillDisk() {
	e.t.Helper()
	e.run(`cat /dev/zero >"$0/data/filler" 2>/dev/null; [ "$(stat -f -c %a "$0/data")" = 0 ]`, e.directory)
}

// FreeDisk is described with FillDisk.
func (e *Engine) FreeDisk() { e.t.Helper(); e.run(`rm "$0/data/filler"`, e.directory) }

// Processes are the ids, in the engine's namespace, of the processes of a program
// with a first argument.
func (e *Engine) Processes(program, argument string) (ids []int) {
	e.t.Helper()
	words := e.run(`for p in /proc/[0-9]*; do
		[ "$(tr '\0' '\n' 2>/dev/null <$p/cmdline | head -n 2)" = "$0
$1" ] && echo ${p#/proc/}; done; :`, program, argument)
	for _, word := range strings.Fields(words) {
		id, err := strconv.Atoi(word)
		if err != nil {
			e.t.Fatalf("%q is no process id", word)
		}
		ids = append(ids, id)
	}
	return ids
}

// KillProcess kills one of Processes.
func (e *Engine) KillProcess(id int) { e.t.Helper(); e.run("kill -s KILL $0", strconv.Itoa(id)) }

// close ends all that there is in the namespaces, and removes what is left in
// the file system.
func (e *Engine) close() {
	if e.t.Failed() {
		if log, err := os.ReadFile(e.path("log")); err == nil {
			e.t.Logf("the end of the engine's log:\n%s", log[max(0, len(log)-8<<10):])
		}
	}
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", e.holder.Process.Pid)
	if text, err := os.ReadFile(children); err == nil {
		for _, word := range strings.Fields(string(text)) {
			if id, err := strconv.Atoi(word); err == nil {
				if first, err := os.FindProcess(id); err == nil {
					_ = first.Kill() // and with it all others
				}
			}
		}
	} else {
		_ = e.holder.Process.Kill()
	}
	_ = e.holder.Wait()
	groups, _ := filepath.Glob("/sys/fs/cgroup/*" + e.cgroup() + "/*")
	own, _ := filepath.Glob("/sys/fs/cgroup/*" + e.cgroup())
	for _, group := range append(groups, own...) {
		if info, err := os.Stat(group); err == nil && info.IsDir() {
			_ = os.Remove(group)
		}
	}
	if err := os.RemoveAll(e.directory); err != nil {
		e.t.Errorf("leftover of the engine: %v", err)
	}
}
