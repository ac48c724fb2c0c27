package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

// create makes a container that is removed with the test.
func create(t *testing.T, c *Client, image string, config container.Config, host container.HostConfig) string {
	t.Helper()
	config.Image = image
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	config.Labels[testLabel] = "1"
	id, err := c.CreateContainer(testContext(t), ContainerSpec{
		Name: "berth-engine-test-" + unique(t), Config: &config, Host: &host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.RemoveContainer(testContext(t), id); err != nil {
			t.Errorf("remove %s: %v", id, err)
		}
	})
	return id
}

// idle makes a running container for execs.
func idle(t *testing.T, c *Client, image string) string {
	t.Helper()
	id := create(t, c, image, container.Config{Cmd: []string{"/bin/sleep", "3600"}}, container.HostConfig{})
	if err := c.StartContainer(testContext(t), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func start(t *testing.T, c *Client, container string, s ExecSpec) (id string, stream *Stream) {
	t.Helper()
	ctx := testContext(t)
	id, err := c.CreateExec(ctx, container, s)
	if err != nil {
		t.Fatal(err)
	}
	stream, err = c.StartExec(ctx, id, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	return id, stream
}

// exitOf waits for a program's end, which the engine may notice after that of
// its output. Hazard 9: the exit code means nothing while it runs.
func exitOf(t *testing.T, c *Client, id string) int {
	t.Helper()
	for ctx := testContext(t); ; time.Sleep(5 * time.Millisecond) {
		state, err := c.InspectExec(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if !state.Running {
			return state.ExitCode
		}
	}
}

func TestInfo(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		info, err := c.Info(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Contains(t.Name(), "podman"); info.Podman != want {
			t.Errorf("Podman is %v, want %v", info.Podman, want)
		}
		if info.OS != "linux" || info.Architecture == "" || info.Architecture == "x86_64" || info.APIVersion == "" {
			t.Errorf("got %+v", info)
		}
		i, err := c.InspectImage(testContext(t), image)
		if err != nil {
			t.Fatal(err)
		}
		if i.ID == "" || len(i.Env) == 0 {
			t.Errorf("got %+v", i)
		}
	})
}

// The whole life of a container, as session mode has it. Hazards 1, 4, 5, 34.
func TestContainerLife(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		ctx := testContext(t)
		id := create(t, c, image, container.Config{
			Cmd:       []string{"/bin/sh", "-c", "cat; echo oops >&2; exit 7"},
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		}, container.HostConfig{AutoRemove: true})
		stream, err := c.AttachContainer(ctx, id, false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stream.Close() }()
		results, err := c.WaitContainer(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.StartContainer(ctx, id); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		copied := make(chan error, 1)
		go func() { copied <- stream.CopyOutput(&stdout, &stderr) }()
		if _, err := io.WriteString(stream, "hello\n"); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := <-copied; err != nil {
			t.Fatal(err)
		}
		if stdout.String() != "hello\n" || stderr.String() != "oops\n" {
			t.Errorf("got %q and %q", stdout.String(), stderr.String())
		}
		if r := <-results; r.Err != nil || r.Exit.Code != 7 {
			t.Errorf("ended with %+v, want 7", r)
		}
		if err := c.RemoveContainer(ctx, id); err != nil {
			t.Errorf("remove one that removes itself: %v", err)
		}
	})
}

// One that ends at once is not missed. Podman begins to listen after it has
// acknowledged the wait.
func TestWaitMissesNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		ctx := testContext(t)
		for i := range 6 {
			id := create(t, c, image, container.Config{Cmd: []string{"/bin/sh", "-c", "exit 5"}},
				container.HostConfig{AutoRemove: i%2 == 0})
			results, err := c.WaitContainer(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.StartContainer(ctx, id); err != nil {
				t.Fatal(err)
			}
			if r := <-results; r.Err != nil || r.Exit.Code != 5 {
				t.Errorf("ended with %+v, want 5", r)
			}
		}
	})
}

func TestExecStreams(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		box := idle(t, c, image)
		// Hazards 3, 4, 5: byte-exact, apart, half-closed.
		t.Run("both ways", func(t *testing.T) {
			id, stream := start(t, c, box, ExecSpec{Env: []string{"A=b c"}, Dir: "/tmp",
				Cmd: []string{"/bin/sh", "-c", `wc -c >&2; echo "$A $PWD"; dd if=/dev/zero bs=1000 count=3000 2>/dev/null; exit 9`}})
			input := bytes.Repeat([]byte("0123456789"), 200_000)
			var stdout, stderr bytes.Buffer
			copied := make(chan error, 1)
			go func() { copied <- stream.CopyOutput(&stdout, &stderr) }()
			if _, err := stream.Write(input); err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := <-copied; err != nil {
				t.Fatal(err)
			}
			if want := "b c /tmp\n"; !strings.HasPrefix(stdout.String(), want) || stdout.Len() != len(want)+3_000_000 {
				t.Errorf("got %d bytes of output", stdout.Len())
			}
			if strings.TrimSpace(stderr.String()) != "2000000" {
				t.Errorf("the program counted %q", stderr.String())
			}
			if code := exitOf(t, c, id); code != 9 {
				t.Errorf("exit code %d, want 9", code)
			}
		})
		// Hazard 9.
		t.Run("running", func(t *testing.T) {
			id, _ := start(t, c, box, ExecSpec{Cmd: []string{"/bin/cat"}})
			for ctx := testContext(t); ; time.Sleep(5 * time.Millisecond) {
				state, err := c.InspectExec(ctx, id)
				if err != nil || !state.Running {
					t.Fatalf("got %+v, %v", state, err)
				}
				if state.PID != 0 {
					break
				}
			}
		})
		t.Run("read", func(t *testing.T) {
			_, stream := start(t, c, box, ExecSpec{Cmd: []string{"/bin/sh", "-c", "echo one; echo two >&2; sleep 0.1; echo three"}})
			out, err := io.ReadAll(stream)
			if err != nil || string(out) != "one\nthree\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
		// Hazard 31: the engine's own words.
		t.Run("refused", func(t *testing.T) {
			_, err := c.StartExec(testContext(t), strings.Repeat("0", 64), ExecSpec{Cmd: []string{"x"}})
			if !errors.Is(err, ErrNotFound) || !strings.Contains(strings.ToLower(err.Error()), "no") {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		})
	})
}

// Hazards 7 and 8.
func TestExecTerminal(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		info, err := c.Info(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		box := idle(t, c, image)
		t.Run("size", func(t *testing.T) {
			spec := ExecSpec{TTY: true, Columns: 123, Rows: 45, Cmd: []string{"/bin/sh", "-c", "head -c 1 >/dev/null; stty size"}}
			id, stream := start(t, c, box, spec)
			if !info.Podman { // which took it with the start
				if err := Retry(testContext(t), func(ctx context.Context) error {
					return c.ResizeExec(ctx, id, spec.Columns, spec.Rows)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.WriteString(stream, "\n"); err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(stream)
			if err != nil || !strings.Contains(string(out), "45 123") {
				t.Errorf("got %q, %v", out, err)
			}
		})
		for _, key := range []struct {
			name string
			byte
		}{{"ctrl-p", 16}, {"ctrl-q", 17}, {"ctrl-@", 0}, {"ctrl-backslash", 28}, {"ctrl-]", 29}, {"ctrl-_", 31}} {
			t.Run(key.name, func(t *testing.T) {
				_, stream := start(t, c, box, ExecSpec{TTY: true,
					Cmd: []string{"/bin/sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=1 2>/dev/null | od -An -tu1"}})
				typed(t, stream, []byte{key.byte}, fmt.Sprint(key.byte))
			})
		}
		t.Run("keys of the sequence", func(t *testing.T) {
			// Held back, but never lost: the next key lets them go.
			_, stream := start(t, c, box, ExecSpec{TTY: true,
				Cmd: []string{"/bin/sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=3 2>/dev/null | od -An -tu1"}})
			typed(t, stream, []byte{30, 30, 'x'}, "30  30 120")
		})
	})
}

// typed types keys one by one when the program is ready, and expects output.
func typed(t *testing.T, stream *Stream, keys []byte, want string) {
	t.Helper()
	late := time.AfterFunc(testLimit/4, func() { _ = stream.Close() })
	defer late.Stop()
	var out []byte
	buffer := make([]byte, 100)
	for !strings.Contains(string(out), "ready") {
		n, err := stream.Read(buffer)
		out = append(out, buffer[:n]...)
		if err != nil {
			t.Fatalf("%v after %q", err, out)
		}
	}
	for i, key := range keys {
		if i > 0 {
			time.Sleep(20 * time.Millisecond) // a pause as a person makes
		}
		if _, err := stream.Write([]byte{key}); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.Contains(string(rest), want) {
		t.Errorf("got %q, %v; want %q", rest, err, want)
	}
}

// Hazard 7, with attach: no key is held back, not even of the sequence.
func TestAttachTerminal(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		for _, key := range []byte{16, 30, 0} {
			t.Run(fmt.Sprint(key), func(t *testing.T) {
				ctx := testContext(t)
				id := create(t, c, image, container.Config{Tty: true, OpenStdin: true, StdinOnce: true,
					Cmd: []string{"/bin/sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=1 2>/dev/null | od -An -tu1"}},
					container.HostConfig{})
				stream, err := c.AttachContainer(ctx, id, true)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = stream.Close() }()
				if err := c.StartContainer(ctx, id); err != nil {
					t.Fatal(err)
				}
				if err := Retry(ctx, func(ctx context.Context) error { return c.ResizeContainer(ctx, id, 99, 33) }); err != nil {
					t.Error(err)
				}
				typed(t, stream, []byte{key}, fmt.Sprint(key))
			})
		}
	})
}

func TestErrorKinds(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		ctx := testContext(t)
		want := func(err, kind error) {
			t.Helper()
			if !errors.Is(err, kind) || !Permanent(err) {
				t.Errorf("got %v, which is not %q", err, kind)
			}
		}
		config := func(cmd ...string) *container.Config {
			return &container.Config{Image: image, Cmd: cmd, Labels: map[string]string{testLabel: "1"}}
		}
		_, err := c.InspectImage(ctx, "berth-no-such-image")
		want(err, ErrNotFound)
		_, err = c.CreateContainer(ctx, ContainerSpec{Config: &container.Config{Image: "berth-no-such-image"}})
		want(err, ErrNotFound)
		want(c.StartContainer(ctx, "berth-no-such-container"), ErrNotFound)
		_, err = c.AttachContainer(ctx, "berth-no-such-container", false)
		want(err, ErrNotFound)
		_, err = c.WaitContainer(ctx, "berth-no-such-container")
		want(err, ErrNotFound)
		_, err = c.InspectExec(ctx, strings.Repeat("0", 64))
		want(err, ErrNotFound)
		want(c.StartContainer(ctx, "a/b"), ErrInvalid)
		if err := c.RemoveContainer(ctx, "berth-no-such-container"); err != nil {
			t.Errorf("remove what is gone: %v", err)
		}

		name := "berth-engine-test-" + unique(t)
		id, err := c.CreateContainer(ctx, ContainerSpec{Name: name, Config: config("/bin/true")})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.RemoveContainer(ctx, id); err != nil {
				t.Error(err)
			}
		}()
		second, err := c.CreateContainer(ctx, ContainerSpec{Name: name, Config: config("/bin/true")})
		want(err, ErrConflict)
		if second != "" {
			t.Errorf("made %s", second)
		}
		_, err = c.CreateExec(ctx, id, ExecSpec{Cmd: []string{"/bin/true"}})
		want(err, ErrConflict)
		want(c.KillContainer(ctx, id, "TERM"), ErrConflict)

		missing, err := c.CreateContainer(ctx, ContainerSpec{Config: config("/no/such/program")})
		if err == nil {
			defer func() { _ = c.RemoveContainer(ctx, missing) }()
			err = c.StartContainer(ctx, missing)
		}
		if err == nil || !Permanent(err) {
			t.Errorf("a command that is not there: %v", err)
		}
	})
}

// Hazard 14: several who remove the same at a time all see it gone.
func TestRemoveTogether(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		ctx := testContext(t)
		id := idle(t, c, image)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if err := c.RemoveContainer(ctx, id); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		list, err := c.ListContainers(ctx, map[string]string{testLabel: "1"})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list {
			if item.ID == id {
				t.Errorf("%s is still there: %s", id, item.State)
			}
		}
	})
}

func TestStopAndList(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, image string) {
		ctx := testContext(t)
		mark := unique(t)
		id := create(t, c, image, container.Config{Labels: map[string]string{"mark": mark},
			Cmd: []string{"/bin/sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"}}, container.HostConfig{})
		stream, err := c.AttachContainer(ctx, id, false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stream.Close() }()
		results, err := c.WaitContainer(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.StartContainer(ctx, id); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Read(make([]byte, 10)); err != nil { // the trap is set
			t.Fatal(err)
		}
		list, err := c.ListContainers(ctx, map[string]string{"mark": mark, testLabel: ""})
		if err != nil || len(list) != 1 || list[0].ID != id || list[0].State != "running" || list[0].Labels["mark"] != mark {
			t.Errorf("got %+v, %v", list, err)
		}
		if err := c.StopContainer(ctx, id, 10*time.Second); err != nil {
			t.Error(err)
		}
		if r := <-results; r.Err != nil || r.Exit.Code != 4 {
			t.Errorf("ended with %+v, want 4", r)
		}
		if err := c.StopContainer(ctx, id, 0); err != nil {
			t.Errorf("stop what has ended: %v", err)
		}
	})
}

// Hazard 34: the failure of a pull is inside of a success on Podman.
func TestPullFails(t *testing.T) {
	eachEngine(t, func(t *testing.T, c *Client, _ string) {
		// Nothing listens there, so no network is needed.
		err := c.PullImage(testContext(t), "127.0.0.1:1/berth/none:latest", nil, nil)
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("got %v", err)
		}
		t.Log(err)
	})
}
