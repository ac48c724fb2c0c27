//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testsshd"
)

func TestMain(m *testing.M) {
	if play() {
		return
	}
	goleak.VerifyTestMain(m)
}

var server = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "berth")
	out, err := exec.Command("go", "build", "-o", path, "github.com/berth-ssh/berth/cmd/berth").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// A quick run measures every figure, a target included, and leaves nothing
// behind.
func TestQuick(t *testing.T) {
	program, err := server()
	if err != nil {
		t.Fatal(err)
	}
	target := testsshd.Start(t)
	out := filepath.Join(t.TempDir(), "bench.json")
	before := benchContainers(t)
	var stdout, stderr bytes.Buffer
	code := command(t.Context(), []string{"-quick", "-berth", program, "-out", out,
		"-target", "other=" + target.Addr, "-i", target.KeyFile, "-user", target.User}, &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	nothingLeft(t, before, 1) // the target

	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, f := range r.Figures {
		got = append(got, f.Name)
		if f.Met != nil {
			t.Errorf("%s: a quick run says that a goal is met: %v", f.Name, *f.Met)
		}
		if len(f.Sides) < 2 {
			t.Errorf("%s has the sides %+v", f.Name, f.Sides)
		}
		for _, s := range f.Sides {
			if s.N == 0 || s.Median <= 0 || s.P99 < s.Median || s.Ran == "" {
				t.Errorf("%s: %+v", f.Name, s)
			}
		}
		if !strings.Contains(f.Command, "'^"+f.Name+"$'") {
			t.Errorf("%s was made by %s", f.Name, f.Command)
		}
		others := slices.ContainsFunc(f.Sides, func(s Side) bool { return s.Name == "other" })
		if alone := f.Name == "burst_100" || f.Name == "idle_connection_kib" || f.Name == "login_p99_at_10000"; others == alone {
			t.Errorf("%s has the target: %t", f.Name, others)
		}
		if !strings.Contains(stdout.String(), "| "+f.Name) {
			t.Errorf("%s is not in the table", f.Name)
		}
	}
	for _, m := range measurements {
		want = append(want, m.figures...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("figures %v, want %v", got, want)
	}
	if len(r.Scaling) != len(quick.levels) {
		t.Errorf("%d levels, want %d", len(r.Scaling), len(quick.levels))
	}

	picture := filepath.Join(t.TempDir(), "plot.svg")
	if code := command(t.Context(), []string{"-out", out, "-plot", picture}, &stdout, &stderr); code != exitOK {
		t.Errorf("plot: exit code %d\n%s", code, &stderr)
	}
	if svg, err := os.ReadFile(picture); err != nil || !bytes.Contains(svg, []byte("</svg>")) {
		t.Errorf("%s, %v", svg, err)
	}
}

// An interrupted run ends all that it has started.
func TestInterrupted(t *testing.T) {
	program, err := server()
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	before := benchContainers(t)
	// Not quick: it is under way when it is interrupted, which is when its
	// first container is there.
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for ctx.Err() == nil && len(benchContainers(t)) == len(before) {
			time.Sleep(10 * time.Millisecond)
		}
		interrupt()
	}()
	var stdout, stderr bytes.Buffer
	code := command(ctx, []string{"-berth", program, "-only", "^session|^login", "-out", filepath.Join(t.TempDir(), "bench.json")}, &stdout, &stderr)
	<-seen
	if code != exitError || !strings.Contains(stderr.String(), "interrupted") || stdout.Len() > 0 {
		t.Errorf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	nothingLeft(t, before, 0)
}

// benchContainers are the containers of this process's runs: others may be under
// way on the machine.
func benchContainers(t *testing.T) []string {
	e, err := engine.Open(engine.Settings{Host: testguest.EngineHost()})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer engine.CloseIdle()
	defer e.Close()
	list, err := e.ListContainers(context.WithoutCancel(t.Context()), map[string]string{label: ""})
	if err != nil {
		t.Error(err)
	}
	var ids []string
	for _, c := range list {
		if strings.HasPrefix(c.Labels[label], processName) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// nothingLeft wants no container that was not there before, and so many child
// processes.
func nothingLeft(t *testing.T, before []string, children int) {
	t.Helper()
	for _, id := range benchContainers(t) {
		if !slices.Contains(before, id) {
			t.Errorf("the container %s is left", id)
		}
	}
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		fields := strings.Fields(string(after(text, []byte(") "))))
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			left = append(left, string(text))
		}
	}
	if len(left) != children {
		t.Errorf("%d child processes are left, want %d:\n%s", len(left), children, strings.Join(left, "\n"))
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, exitOK, "-target"},
		{[]string{"-nothing"}, exitUsage, "-nothing"},
		{[]string{"more"}, exitUsage, "more"},
		{[]string{"-only", "("}, exitUsage, "-only"},
		{[]string{"-only", "nothing"}, exitError, "no figure"},
		{[]string{"-target", "host:22"}, exitUsage, "name=host:port"},
		{[]string{"-target", "a=host:22", "-i", "/nowhere"}, exitError, "-i"},
		{[]string{"-out", "/nowhere", "-plot", "x"}, exitError, "make bench"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(t.Context(), c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, &stderr)
		}
	}
}
