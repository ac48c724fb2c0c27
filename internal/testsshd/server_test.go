package testsshd

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(closing{m}) }

// closing runs the tests and drops the idle connections to the engine.
type closing struct{ *testing.M }

func (c closing) Run() int {
	defer engine.CloseIdle()
	return c.M.Run()
}

func TestStart(t *testing.T) {
	t.Parallel()
	s := Start(t, "AllowTcpForwarding no")
	if out, code := client(t, s, "echo here; exit 3"); out != "here\n" || code != 3 {
		t.Errorf("got %q and exit code %d", out, code)
	}
}

func TestStartIn(t *testing.T) {
	t.Parallel()
	s := StartIn(t, testguest.Debian(t), []string{"BERTH_A=a b", "BERTH_B=c"})
	if out, code := client(t, s, `echo "$BERTH_A,$BERTH_B,$PWD"; exit 4`); out != "a b,c,/root\n" || code != 4 {
		t.Errorf("got %q and exit code %d", out, code)
	}
}

// Two at a time have ports of their own, and end with their tests.
func TestEndsWithTest(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *Server{
		"process":   func(t testing.TB) *Server { return Start(t) },
		"container": func(t testing.TB) *Server { return StartIn(t, testguest.Debian(t), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var a, b *Server
			t.Run("running", func(t *testing.T) {
				a, b = start(t), start(t)
				if a.Addr == b.Addr {
					t.Fatalf("two servers at %s", a.Addr)
				}
				for _, s := range []*Server{a, b} {
					if _, code := client(t, s, "exit 0"); code != 0 {
						t.Errorf("exit code %d", code)
					}
				}
			})
			for _, s := range []*Server{a, b} {
				if err := greets(t.Context(), s.Addr); err == nil {
					t.Errorf("%s still answers", s.Addr)
				}
			}
		})
	}
}

func client(t *testing.T, s *Server, command string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", append(s.ClientOptions(), s.Destination(), command)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if s := strings.TrimSpace(stderr.String()); s != "" {
		t.Errorf("on standard error: %s", s)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
