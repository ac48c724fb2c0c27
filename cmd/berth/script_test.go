package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/internal/testpodman"
)

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"berth": main})
}

// suite is the tests of this package, and what they leave running for each
// other.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	testpodman.Stop()
	engine.CloseIdle()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// The scripts in testdata are the documentation of what the commands print and
// how they exit. None of them needs an engine: engine.yaml names a fake one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			home := e.Getenv("WORK") + "/home"
			e.Setenv("HOME", home)
			e.Setenv("XDG_STATE_HOME", home+"/state")
			// A port that is in use for as long as the script runs.
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = l.Close() })
			e.Setenv("BUSY", l.Addr().String())
			engine, err := fakeengine.Start(fakeengine.Options{Images: map[string]fakeengine.Image{"guest": {}}})
			if err != nil {
				return err
			}
			e.Defer(func() { _ = engine.Close() })
			e.Setenv("ENGINE", engine.Host())
			config := fmt.Sprintf("docker: {connection: {host: %q}, execution: {container: {image: guest}}}\n", engine.Host())
			if err := os.WriteFile(e.Getenv("WORK")+"/engine.yaml", []byte(config), 0o600); err != nil {
				return err
			}
			return os.MkdirAll(home, 0o700)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "leave": leave},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exits runs a command and wants exactly this exit code:
//
//	exits CODE COMMAND [ARGUMENT…]
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// leave leaves a container on the fake engine:
//
//	leave [LABEL=VALUE…]
func leave(ts *testscript.TestScript, neg bool, args []string) {
	labels := map[string]string{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if neg || !ok {
			ts.Fatalf("usage: leave [LABEL=VALUE…]")
		}
		labels[name] = value
	}
	_, err := leaveOn(ts.Getenv("ENGINE"), labels)
	ts.Check(err)
}

func leaveOn(host string, labels map[string]string) (id string, err error) {
	e, err := engine.Open(engine.Settings{Host: host})
	if err != nil {
		return "", err
	}
	defer engine.CloseIdle()
	defer e.Close()
	return e.CreateContainer(context.Background(), engine.ContainerSpec{Config: &container.Config{Image: "guest", Labels: labels}})
}

// writeFile makes a file for one test.
func writeFile(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
