//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/torture/internal/actor"
)

func TestMain(m *testing.M) {
	// See newSession: the client's library, not the server.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("golang.org/x/crypto/ssh.(*mux).openChannel"))
}

var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "berth")
	out, err := exec.Command("go", "build", "-race", "-o", path, "github.com/berth-ssh/berth/cmd/berth").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// A short run over all cells, with a server that looks for data races: nothing
// is wrong, and nothing is left.
func TestShort(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := command(t.Context(), []string{"-berth", path, "-sessions", "200", "-quiet", "0s", "-parallel", "4"}, &stdout, &stderr)
	if code != exitOK {
		t.Errorf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	t.Logf("%s", &stdout)
	for _, c := range cells {
		if !regexp.MustCompile(`(?m)^ *` + c.name() + ` +[1-9]`).MatchString(stdout.String()) {
			t.Errorf("%s is not in the table", c.name())
		}
	}
	if seed, _, _ := strings.Cut(stdout.String(), "\n"); !regexp.MustCompile(`^seed [1-9][0-9]*$`).MatchString(seed) {
		t.Errorf("the first line is %q", seed)
	}
}

// spoiled is an output that spoils what is written to it.
type spoiled struct {
	io.WriteCloser
	spoil func(p []byte) []byte
}

func (s spoiled) Write(p []byte) (int, error) {
	_, err := s.WriteCloser.Write(s.spoil(bytes.Clone(p)))
	return len(p), err
}

// What goes wrong is found: a byte that is lost, doubled or changed, and an end
// that was not ordered.
func TestFinds(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(o *actor.Order, w *actor.World){
		"lost": func(_ *actor.Order, w *actor.World) {
			w.Stdout = spoiled{w.Stdout, func(p []byte) []byte { return p[:max(0, len(p)-1)] }}
		},
		"doubled": func(_ *actor.Order, w *actor.World) {
			w.Stderr = spoiled{w.Stderr, func(p []byte) []byte { return append(p, p...) }}
		},
		"changed": func(_ *actor.Order, w *actor.World) {
			w.Stderr = spoiled{w.Stderr, func(p []byte) []byte { p[0]++; return p }}
		},
		"exit": func(o *actor.Order, _ *actor.World) { o.Code++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			o := settings{seed: 1, sessions: 40, parallel: 4, only: -1, program: path, spoil: spoil}
			list, err := o.run(t.Context(), []cell{{"fake", "inject", "connection", false, 1, 10}}, &stderr)
			for _, t := range list {
				err = errors.Join(err, t.err())
			}
			table(&stdout, list)
			if err == nil || !strings.Contains(err.Error(), "fake/inject/connection") {
				t.Errorf("%v\n%s\n%s", err, &stdout, &stderr)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, exitOK, "-sessions"},
		{[]string{"-nothing"}, exitUsage, "-nothing"},
		{[]string{"more"}, exitUsage, "no operands"},
		{[]string{"-ways", "nothing"}, exitUsage, `no "nothing"`},
		{[]string{"-engines", "fake", "-ways", "image"}, exitUsage, "nothing to do"},
		{[]string{"-engines", "fake", "-ways", "none", "-pool", "on"}, exitUsage, "nothing to do"},
		{[]string{"-engines", "fake", "-berth", "/nowhere"}, exitError, "make build"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(t.Context(), c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, &stderr)
		}
	}
}

// A seed makes the same plans again.
func TestSeed(t *testing.T) {
	for _, c := range cells {
		for number := range 20 {
			one, again := c.plan(7, number, 1000), c.plan(7, number, 1000)
			if fmt.Sprint(one) != fmt.Sprint(again) {
				t.Errorf("%s, connection %d is not the same again", c.name(), number)
			}
			if fmt.Sprint(one) == fmt.Sprint(c.plan(8, number, 1000)) {
				t.Errorf("%s, connection %d is the same with another seed", c.name(), number)
			}
			for i, s := range one.sessions {
				if got, err := actor.Parse(s.order.String()); err != nil || got != s.order {
					t.Errorf("%s, %d.%d: %v, %v", c.name(), number, i, got, err)
				}
			}
		}
	}
}
