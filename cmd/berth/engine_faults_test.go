package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testengine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testmetrics"
)

// These tests break an engine of their own, which knows no image but the built-in
// one.

// crowd is how many sessions live when something is killed.
const crowd = 50

// frail is a server on an engine that will have faults.
func frail(t *testing.T, host, label, execution, rest string) (s *testberth.Server, state string) {
	t.Helper()
	state = t.TempDir()
	return testberth.Start(t, fmt.Sprintf(`
ssh: {drainTimeout: 2s}
docker:
  connection: {host: %q}
  %s
  execution:
    container: {stopTimeout: 1, labels: {%s: %q}, networkDisabled: true}
    %s
`, host, rest, testguest.Label, label, strings.ReplaceAll(execution, "\n", "\n    ")), state), state
}

const (
	// What waits for the engine does so for as long as a busy machine may need,
	// but for removals: those are the reaper's soon.
	patient = "timeouts: {http: 10s, containerStart: 30s, containerStop: 4s}"
	// Nobody waits for what is sure to fail.
	impatient = "timeouts: {http: 1s, containerStart: 2s}"
)

// live is a session whose program gives back what it is given.
type live struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer // to be read after the end
}

// begin begins a session; options are ssh's.
func begin(t *testing.T, s *testberth.Server, options ...string) *live {
	t.Helper()
	l := &live{t: t, cmd: s.SSH(t.Context(), "echo ready; exec cat")}
	l.cmd.Args = append(append([]string{l.cmd.Args[0]}, options...), l.cmd.Args[1:]...)
	l.cmd.Stderr = &l.stderr
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.out = bufio.NewReader(out)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	if line, err := l.out.ReadString('\n'); line != "ready\n" {
		_ = l.cmd.Wait()
		t.Errorf("a session began with %q, %v; stderr %q", line, err, l.stderr.String())
	}
	return l
}

// beginMany begins sessions, each with a connection of its own.
func beginMany(t *testing.T, s *testberth.Server, n int) []*live {
	t.Helper()
	list := make([]*live, n)
	var all sync.WaitGroup
	places := make(chan struct{}, 6) // as many as may be unauthenticated, and fewer
	for i := range list {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			list[i] = begin(t, s)
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return list
}

// works says something and hears it.
func (l *live) works() {
	l.t.Helper()
	if _, err := io.WriteString(l.in, "hello\n"); err != nil {
		l.t.Error(err)
	}
	if line, err := l.out.ReadString('\n'); line != "hello\n" {
		l.t.Errorf("the session answers %q, %v", line, err)
	}
}

// leave ends the session as its user does.
func (l *live) leave() {
	l.t.Helper()
	_ = l.in.Close()
	_, _ = io.Copy(io.Discard, l.out)
	if err := l.cmd.Wait(); err != nil {
		l.t.Errorf("at its end: %v, %q", err, l.stderr.String())
	}
}

// lost waits for the session's end, of which its user must be told.
func (l *live) lost() {
	l.t.Helper()
	_, _ = io.Copy(io.Discard, l.out)
	_ = l.cmd.Wait()
	code, said := l.cmd.ProcessState.ExitCode(), l.stderr.String()
	switch {
	case code == 255 && strings.Contains(said, "berth: The connection to the container was lost; it is not known how the program ended."):
	case code == 128+9 && strings.Contains(said, "berth: The container of this connection has ended, and the program with it."):
	default:
		l.t.Errorf("exit code %d, %q; want a word about the loss", code, said)
	}
}

// refused logs in, and wants to be told why there is no container.
func refused(t *testing.T, s *testberth.Server, words string) {
	t.Helper()
	cmd := s.SSH(t.Context(), "true")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if code, said := cmd.ProcessState.ExitCode(), stderr.String(); code != 255 || !strings.Contains(said, words) ||
		!strings.Contains(said, "berth: Failed to initialize SSH session.") {
		t.Errorf("exit code %d, %q; want 255 and %q", code, said, words)
	}
}

// serves waits for a login that succeeds.
func serves(t *testing.T, s *testberth.Server) {
	t.Helper()
	since := time.Now()
	waitFor(t, "a login that succeeds", func() bool { return s.SSH(t.Context(), "true").Run() == nil })
	t.Logf("a login has succeeded after %v", time.Since(since).Round(10*time.Millisecond))
}

// settles waits until there are so many containers of a server, and no more. Docker
// 20.10 goes on listing some of those whose removal a crash has interrupted, as dead,
// until it is started again: what it doesn't know when asked for it is not there.
func settles(t *testing.T, host, mark string, n int) {
	t.Helper()
	client, err := engine.Open(engine.Settings{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	since := time.Now()
	var list []engine.Container
	defer func() {
		if t.Failed() {
			t.Logf("%+v", list)
		}
	}()
	waitFor(t, fmt.Sprintf("%d containers of %s", n, mark), func() bool {
		if list, err = client.ListContainers(t.Context(), map[string]string{testguest.Label: mark}); err != nil {
			t.Fatal(err)
		}
		there := 0
		for _, c := range list {
			if c.State != "dead" || !errors.Is(client.StartContainer(t.Context(), c.ID), engine.ErrNotFound) {
				there++
			}
		}
		return there == n
	})
	t.Logf("%d containers of %s after %v", n, mark, time.Since(since).Round(10*time.Millisecond))
}

// metric is one of the numbers that a server tells Prometheus.
func metric(t *testing.T, state, name string) float64 {
	t.Helper()
	m, err := testmetrics.Of(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	value, err := m.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Hazards 14, 17 and 33: whatever ends an engine, containers or agents, who has a
// session is told of its end, who wants one is told why there is none; nothing is
// left, and the server serves on when it can.
func TestEngineFaults(t *testing.T) {
	e := testengine.Start(t, "")
	host, pooledMark, plainMark, idleMark, hurriedMark := e.Host(), label(t)+"pooled", label(t)+"plain", label(t)+"idle", label(t)+"hurried"
	pooled, state := frail(t, host, pooledMark, "agent: inject", patient+"\n  pool: {min: 2, max: 2}")
	plain, plainState := frail(t, host, plainMark, "agent: none\nshellCommand: [/bin/sh]\nidleCommand: [/bin/sleep, '1000']", patient)
	beside, _ := frail(t, host, idleMark, "agent: inject\nidleCommand: [/bin/sleep, '1000']", patient)
	hurried, _ := frail(t, host, hurriedMark, "agent: inject", impatient)
	full := func() { waitFor(t, "a full pool", func() bool { return metric(t, state, "berth_pool_ready") == 2 }) }
	const goroutines, files = "go_goroutines", "process_open_fds"
	usual := map[string][2]float64{}
	for _, s := range []string{state, plainState} {
		usual[s] = [2]float64{metric(t, s, goroutines), metric(t, s, files)}
	}
	const away = "The container engine does not answer; try again later."

	// kill -9 of the first process of each container.
	t.Run("containers are killed", func(t *testing.T) {
		full()
		sessions := beginMany(t, pooled, crowd)
		client, err := engine.Open(engine.Settings{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, id := range containersOn(t, host, pooledMark) { // the pool's too
			if err := client.KillContainer(t.Context(), id, "SIGKILL"); err != nil && !engine.Permanent(err) {
				t.Error(err)
			}
		}
		for _, l := range sessions {
			l.lost()
		}
		serves(t, pooled)
		full()
		settles(t, host, pooledMark, 2)
	})

	// kill -9 of agents that are not the containers' first processes.
	t.Run("agents are killed", func(t *testing.T) {
		const connections = 5
		var sessions []*live
		for i := range connections {
			control := filepath.Join(t.TempDir(), strconv.Itoa(i))
			for range crowd / connections {
				sessions = append(sessions, begin(t, beside, "-o", "ControlMaster=auto", "-o", "ControlPersist=no", "-o", "ControlPath="+control))
			}
		}
		for _, id := range e.Processes("/.berth/agent", "serve") {
			e.KillProcess(id)
		}
		for _, l := range sessions {
			l.lost()
		}
		serves(t, beside)
		settles(t, host, idleMark, 0)
	})

	t.Run("the engine is frozen", func(t *testing.T) {
		full()
		one, other := begin(t, pooled), begin(t, plain)
		e.Freeze()
		refused(t, hurried, away)
		e.Thaw()
		one.works()
		other.works()
		serves(t, pooled)
		serves(t, plain)
		one.leave()
		other.leave()
		full()
		settles(t, host, pooledMark, 2)
		settles(t, host, plainMark, 0)
	})

	t.Run("the engine is killed", func(t *testing.T) {
		full()
		sessions, others := beginMany(t, pooled, crowd), beginMany(t, plain, 5)
		e.Kill()
		for _, l := range others {
			l.lost()
		}
		refused(t, hurried, away)
		e.Up()
		// What had its container through the engine has lost it by now; who has a
		// way of his own keeps it for as long as the engine lets the container be.
		serves(t, pooled)
		serves(t, plain)
		for _, l := range sessions {
			l.lost()
		}
		full()
		settles(t, host, pooledMark, 2)
		settles(t, host, plainMark, 0)
		settles(t, host, hurriedMark, 0)
	})

	t.Run("the engine is stopped", func(t *testing.T) {
		full()
		sessions := append(beginMany(t, pooled, 5), beginMany(t, plain, 5)...)
		e.Stop()
		for _, l := range sessions {
			l.lost()
		}
		refused(t, hurried, away)
		e.Up()
		serves(t, pooled)
		serves(t, plain)
		full()
		settles(t, host, pooledMark, 2)
		settles(t, host, plainMark, 0)
		settles(t, host, hurriedMark, 0)
	})

	// Connections to the engine that wait for their next use are 32 at most, with
	// two goroutines each; what every session left would be more.
	for _, s := range []string{state, plainState} {
		waitFor(t, "the server's files to be closed", func() bool { return metric(t, s, files) < usual[s][1]+40 })
		waitFor(t, "the server's goroutines to end", func() bool { return metric(t, s, goroutines) < usual[s][0]+80 })
	}
}

// A disk that is full keeps nobody from what he has, and is told to who gets nothing.
func TestEngineOutOfDisk(t *testing.T) {
	e := testengine.Start(t, "96m")
	mark := label(t)
	s, _ := frail(t, e.Host(), mark, "agent: inject", impatient)
	l := begin(t, s)
	e.FillDisk()
	refused(t, s, "The container engine has no space left on its disk; tell whoever runs this server.")
	l.works()
	e.FreeDisk()
	serves(t, s)
	l.works()
	settles(t, e.Host(), mark, 1)
	l.leave()
	settles(t, e.Host(), mark, 0)
}
