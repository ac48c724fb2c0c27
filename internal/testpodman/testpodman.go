// Package testpodman runs a Podman of a test process's own: its images,
// containers and socket are below a temporary directory, and gone with it.
package testpodman

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// service is started by the first test that wants it.
var service struct {
	once      sync.Once
	directory string
	process   *exec.Cmd
	err       error
}

// Host returns the address of the process's Podman, which is started first if
// need be; TestMain must call Stop. A test is skipped, loudly, where there is
// no Podman.
func Host(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		t.Skipf("LOUD: no Podman to test against (or not root; \"make setup\" installs it): %v", err)
	}
	service.once.Do(func() { service.err = start() })
	if service.err != nil {
		t.Fatalf("start Podman: %v", service.err)
	}
	return "unix://" + filepath.Join(service.directory, "podman.sock")
}

func start() (err error) {
	if service.directory, err = os.MkdirTemp("", "podman"); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(service.directory, name) }
	// What it wants on a machine with hybrid cgroups: hazard 34.
	if err := os.WriteFile(in("containers.conf"), []byte(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("podman", "--root", in("root"), "--runroot", in("run"), "--tmpdir", in("tmp"),
		"--storage-driver", "vfs", "system", "service", "--time=0", "unix://"+in("podman.sock"))
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+in("containers.conf"))
	if err := cmd.Start(); err != nil {
		return err
	}
	service.process = cmd
	for range 600 {
		if _, err := os.Stat(in("podman.sock")); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no socket appeared")
}

// Stop ends Podman, if any test has started it. It is for TestMain.
func Stop() {
	if service.process != nil {
		_ = service.process.Process.Signal(syscall.SIGTERM)
		_ = service.process.Wait()
	}
	if service.directory != "" {
		if err := os.RemoveAll(service.directory); err != nil {
			fmt.Fprintln(os.Stderr, "leftover:", err)
		}
	}
}
