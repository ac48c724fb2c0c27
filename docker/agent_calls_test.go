package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/fakeengine"
	"github.com/berth-ssh/berth/sshserver"
)

// echoAgent is a guest agent whose programs print their command lines.
type echoAgent struct{}

func (echoAgent) Session(_ context.Context, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	if r.Started(1) != nil {
		return agentproto.Exit{}, false
	}
	var requests sync.WaitGroup
	requests.Go(func() {
		for range r.Resizes {
		}
	})
	requests.Go(func() {
		for range r.Signals {
		}
	})
	_, _ = io.Copy(io.Discard, r.Stdin)
	_, _ = fmt.Fprintln(r.Stdout, what.Command)
	return agentproto.Exit{Code: 5}, true
}

func (echoAgent) Dial(context.Context, string, agentproto.Address) (agentproto.Duplex, error) {
	return nil, errors.New("no network")
}

func (echoAgent) Listen(context.Context, string, agentproto.Address) (agentproto.ServerListener, error) {
	return nil, errors.New("no network")
}

// processStream is a process's standard streams as one.
type processStream struct{ p *fakeengine.Process }

func (s processStream) Read(b []byte) (int, error)  { return s.p.Stdin.Read(b) }
func (s processStream) Write(b []byte) (int, error) { return s.p.Stdout.Write(b) }
func (s processStream) Close() error {
	if c, ok := s.p.Stdin.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func newFakeWithAgent(t *testing.T) *fakeengine.Engine {
	return fakeWithAgent(t, fakeengine.Options{}, echoAgent{}, func(*fakeengine.Process) {})
}

// fakeWithAgent is an engine whose agents do what h does, over the engine's stream;
// seen sees each of them.
func fakeWithAgent(t *testing.T, o fakeengine.Options, h agentproto.Handler, seen func(*fakeengine.Process)) *fakeengine.Engine {
	o.Images = map[string]fakeengine.Image{"guest": {}}
	o.Programs = map[string]fakeengine.Program{"/.berth/agent": func(p *fakeengine.Process) int {
		seen(p)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-p.Done:
			case <-ctx.Done():
			}
			cancel()
		}()
		_ = agentproto.Serve(ctx, processStream{p}, h)
		return 0
	}}
	return fakeengine.New(t, o)
}

// With an injected agent a login costs three engine calls, its sessions none,
// and its end one.
func TestAgentCalls(t *testing.T) {
	e := newFakeWithAgent(t)
	config := docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
		},
	}
	// The first login fills the agent's volume.
	if status, _, stderr := login(t, config, t.Name(), "first"); status.Code != 5 || stderr != "" {
		t.Fatalf("exit %+v, %q", status, stderr)
	}
	since := len(e.Calls())
	calls := func() (routes []string) {
		for _, call := range e.Calls()[since:] {
			routes = append(routes, call.Method+" "+call.Route)
		}
		since = len(e.Calls())
		return routes
	}

	handler, err := docker.New(net.TCPAddr{}, t.Name(), config, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ssh, err := handler.OnHandshakeSuccess("tester")
	if err != nil {
		t.Fatal(err)
	}
	run := func(n uint64) {
		session, err := ssh.OnSessionChannel(n, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer session.OnClose()
		var out lockedBuffer
		exit := make(chan sshserver.ExitStatus, 1)
		command := fmt.Sprint("command ", n)
		if err := session.OnExecRequest(1, command, strings.NewReader("input"), &out, &out, func(s sshserver.ExitStatus) { exit <- s }); err != nil {
			t.Error(err)
			return
		}
		if status := <-exit; status.Code != 5 || out.String() != command+"\n" {
			t.Errorf("exit %+v, %q", status, out.String())
		}
	}
	run(0)
	want := []string{"POST /containers/create", "POST /containers/{id}/attach", "POST /containers/{id}/start"}
	if got := calls(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the login made the calls %q, want %q", got, want)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 25 {
				run(uint64(1 + 25*i + j))
			}
		})
	}
	all.Wait()
	if got := calls(); len(got) > 0 {
		t.Errorf("200 sessions made the calls %q, want none", got)
	}
	handler.OnDisconnect()
	if got := calls(); strings.Join(got, "\n") != "DELETE /containers/{id}" {
		t.Errorf("the end made the calls %q, want one to remove", got)
	}
	nothingLeft(t, e)
}

// The volumes of old versions are removed when nobody uses them; nothing else is.
func TestOldAgentVolumes(t *testing.T) {
	e := newFakeWithAgent(t)
	client, err := engine.Open(engine.Settings{Host: e.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	use := func(volume string) (containerID string) {
		id, err := client.CreateContainer(t.Context(), engine.ContainerSpec{
			Config: &container.Config{Image: "guest"},
			Host:   &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: volume, Target: "/x"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, volume := range []string{"berth-agent-unused", "somebodys-berth-agent-"} {
		if err := client.RemoveContainer(t.Context(), use(volume)); err != nil {
			t.Fatal(err)
		}
	}
	defer func(id string) { _ = client.RemoveContainer(context.Background(), id) }(use("berth-agent-used"))
	config := docker.Config{
		Connection: docker.ConnectionConfig{Host: e.Host()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}},
		},
	}
	if status, _, stderr := login(t, config, t.Name(), "x"); status.Code != 5 {
		t.Fatalf("exit %+v, %q", status, stderr)
	}
	volumes, err := client.ListVolumes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range volumes {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	if len(names) != 3 || !slices.Contains(names, "berth-agent-used") || !slices.Contains(names, "somebodys-berth-agent-") || slices.Contains(names, "berth-agent-unused") {
		t.Errorf("volumes %q, want the one in use, somebody's, and this version's", names)
	}
}
