package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/fakeengine"
)

// short is a limit that is meant to pass; nothing depends on how long it takes.
const short = 50 * time.Millisecond

func programs() map[string]fakeengine.Program {
	return map[string]fakeengine.Program{
		"cat": func(p *fakeengine.Process) int {
			_, _ = io.Copy(p.Stdout, p.Stdin)
			return 3
		},
		"idle": func(p *fakeengine.Process) int {
			<-p.Done
			return 0
		},
		"size": func(p *fakeengine.Process) int {
			columns, rows := p.Size()
			return columns*1000 + rows
		},
	}
}

func fake(t *testing.T, o fakeengine.Options) (*fakeengine.Engine, *Client) {
	t.Helper()
	if o.Programs == nil {
		o.Programs = programs()
	}
	if o.Images == nil {
		o.Images = map[string]fakeengine.Image{"app": {Cmd: []string{"idle"}}}
	}
	e := fakeengine.New(t, o)
	return e, open(t, Settings{Host: e.Host()})
}

func fakeContainer(t *testing.T, c *Client, config container.Config) string {
	t.Helper()
	config.Image = "app"
	id, err := c.CreateContainer(testContext(t), ContainerSpec{Config: &config})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func startedContainer(t *testing.T, c *Client) string {
	t.Helper()
	id := fakeContainer(t, c, container.Config{})
	if err := c.StartContainer(testContext(t), id); err != nil {
		t.Fatal(err)
	}
	return id
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for ctx := testContext(t); !condition(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("never: %s", what)
		}
	}
}

// Hazard 30: asked once by whoever comes, and no guess after a failure.
func TestNegotiation(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		e, c := fake(t, fakeengine.Options{Architecture: "x86_64"})
		e.Order(fakeengine.Fault{Route: "HEAD /_ping", Delay: short})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if info, err := c.Info(testContext(t)); err != nil || info.APIVersion != "1.41" || info.Architecture != "amd64" {
					t.Errorf("got %+v, %v", info, err)
				}
			})
		}
		group.Wait()
		for range 3 {
			if _, err := c.InspectImage(testContext(t), "app"); err != nil {
				t.Error(err)
			}
		}
		if n := len(e.Calls()); n != 5 {
			t.Errorf("%d calls: %+v", n, e.Calls())
		}
	})
	t.Run("failure is not remembered", func(t *testing.T) {
		e, c := fake(t, fakeengine.Options{})
		for _, route := range []string{"HEAD /_ping", "GET /_ping"} {
			e.Order(fakeengine.Fault{Route: route, Status: 500, Message: "still waking up"})
		}
		if _, err := c.InspectImage(testContext(t), "app"); err == nil || !strings.Contains(err.Error(), "still waking up") {
			t.Errorf("got %v", err)
		}
		if _, err := c.StartExec(testContext(t), "x", ExecSpec{}); err == nil {
			t.Error("no error")
		}
		e.Repair()
		if _, err := c.InspectImage(testContext(t), "app"); err != nil {
			t.Error(err)
		}
		for _, call := range e.Calls() {
			if call.Route != "/_ping" && !strings.HasPrefix(call.Path, "/v1.41/") {
				t.Errorf("asked %s", call.Path)
			}
		}
	})
	t.Run("the first caller leaves", func(t *testing.T) {
		e, c := fake(t, fakeengine.Options{})
		e.Order(fakeengine.Fault{Route: "HEAD /_ping", Nth: 1, Hang: true})
		ctx, leave := context.WithCancel(testContext(t))
		first := make(chan error, 1)
		go func() {
			_, err := c.Info(ctx)
			first <- err
		}()
		until(t, "the first call", func() bool { return e.Count("HEAD /_ping") == 1 })
		second := make(chan error, 1)
		go func() {
			_, err := c.Info(testContext(t))
			second <- err
		}()
		leave()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second got %v", err)
		}
	})
	for _, version := range []string{"", "nonsense", "1.24"} {
		t.Run("version "+version, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/_ping" {
					asked.Add(1)
				}
				w.Header().Set("Api-Version", version)
			}))
			t.Cleanup(server.Close)
			c := open(t, Settings{Host: "tcp://" + server.Listener.Addr().String()})
			if _, err := c.Info(testContext(t)); err == nil || !Permanent(err) {
				t.Errorf("got %v", err)
			}
			if asked.Load() != 0 {
				t.Error("went on all the same")
			}
		})
	}
	t.Run("newer than known", func(t *testing.T) {
		_, c := fake(t, fakeengine.Options{APIVersion: "1.99", Podman: true})
		info, err := c.Info(testContext(t))
		if err != nil || info.APIVersion == "1.99" || !info.Podman {
			t.Errorf("got %+v, %v", info, err)
		}
	})
}

// Hazard 18: one pool for each engine, and nothing redialled in a burst.
func TestSharing(t *testing.T) {
	e, first := fake(t, fakeengine.Options{})
	second := open(t, Settings{Host: e.Host(), Timeout: defaultTimeout})
	other := open(t, Settings{Host: e.Host(), Timeout: time.Hour})
	if first.link != second.link || first.link == other.link {
		t.Error("equal settings share, others don't")
	}
	l := first.link
	if _, err := first.Info(testContext(t)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	first.Close()
	second.Close()
	third := open(t, Settings{Host: e.Host()})
	if third.link != l {
		t.Error("did not linger")
	}
	CloseIdle()
	if _, err := third.Info(testContext(t)); err != nil || e.Count("HEAD /_ping") != 1 {
		t.Errorf("negotiated %d times, %v", e.Count("HEAD /_ping"), err)
	}
	third.Close()
	l.expire() // as the timer does after a minute
	if fourth := open(t, Settings{Host: e.Host()}); fourth.link == l {
		t.Error("lingers for ever")
	}
}

func TestConnectionsAreKept(t *testing.T) {
	_, c := fake(t, fakeengine.Options{})
	if _, err := c.Info(testContext(t)); err != nil {
		t.Fatal(err)
	}
	var dialled atomic.Int32
	dial := c.link.dial
	c.link.dial = func(ctx context.Context) (net.Conn, error) {
		dialled.Add(1)
		return dial(ctx)
	}
	for range 50 {
		var group sync.WaitGroup
		for range heavyCalls {
			group.Go(func() {
				if _, err := c.InspectImage(testContext(t), "app"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	// The transport may dial one in vain for each that waits, but not in each
	// burst again.
	if n := dialled.Load(); n > 3*heavyCalls {
		t.Errorf("dialled %d times for 50 bursts of %d calls", n, heavyCalls)
	}
}

// Hazards 17 and 19.
func TestLimits(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		e, _ := fake(t, fakeengine.Options{})
		c := open(t, Settings{Host: e.Host(), Timeout: time.Second})
		id := startedContainer(t, c)
		e.Order(fakeengine.Fault{Route: "GET /exec/{id}/json", Hang: true})
		e.Order(fakeengine.Fault{Route: "POST /containers/{id}/kill", Hang: true})
		e.Order(fakeengine.Fault{Route: "POST /containers/{id}/attach", Hang: true})
		e.Order(fakeengine.Fault{Route: "POST /containers/{id}/wait", Hang: true})
		ctx := testContext(t)
		for name, call := range map[string]func() error{
			"get":    func() error { _, err := c.InspectExec(ctx, "x"); return err },
			"unary":  func() error { return c.KillContainer(ctx, id, "TERM") },
			"hijack": func() error { _, err := c.AttachContainer(ctx, id, false); return err },
			"wait":   func() error { _, err := c.WaitContainer(ctx, id); return err },
		} {
			err := call()
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || Permanent(err) ||
				!strings.Contains(err.Error(), "did not answer within 1s") {
				t.Errorf("%s: got %v", name, err)
			}
		}
		hurried, cancel := context.WithTimeout(ctx, short)
		defer cancel()
		if _, err := c.AttachContainer(hurried, id, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline: got %v", err)
		}
		if err := c.KillContainer(hurried, id, "TERM"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline: got %v", err)
		}
	})
}

// Hazard 14: faults half-way through.
func TestBrokenAnswers(t *testing.T) {
	for name, fault := range map[string]fakeengine.Fault{
		"no answer":   {CloseConnection: true},
		"lost answer": {CloseConnection: true, Performed: true},
		"half answer": {HalfAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			e, c := fake(t, fakeengine.Options{})
			fault.Route, fault.Nth = "POST /containers/create", 1
			e.Order(fault)
			_, err := c.CreateContainer(testContext(t), ContainerSpec{Config: &container.Config{Image: "app"}})
			if err == nil || Permanent(err) {
				t.Errorf("got %v", err)
			}
			t.Log(err)
			if n := len(e.Containers()); n != 0 && !fault.Performed {
				t.Errorf("%d containers", n)
			}
			if _, err := c.CreateContainer(testContext(t), ContainerSpec{Config: &container.Config{Image: "app"}}); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// Hazard 31.
func TestRefusalsKeepTheirWords(t *testing.T) {
	e, c := fake(t, fakeengine.Options{})
	box := startedContainer(t, c)
	for status, kind := range map[int]error{400: ErrInvalid, 401: ErrUnauthorized, 403: ErrForbidden,
		404: ErrNotFound, 409: ErrConflict, 501: ErrNotImplemented, 503: ErrUnavailable, 500: nil} {
		for _, route := range []string{"POST /exec/{id}/start", "POST /containers/{id}/kill", "POST /containers/{id}/wait"} {
			e.Repair()
			e.Order(fakeengine.Fault{Route: route, Status: status, Message: "the moon is full"})
			var err error
			switch route {
			case "POST /exec/{id}/start":
				_, err = c.StartExec(testContext(t), "x", ExecSpec{})
			case "POST /containers/{id}/kill":
				err = c.KillContainer(testContext(t), box, "TERM")
			default:
				_, err = c.WaitContainer(testContext(t), box)
			}
			if err == nil || !strings.Contains(err.Error(), "the moon is full") {
				t.Errorf("%s %d: got %v", route, status, err)
			}
			if kind != nil && !errors.Is(err, kind) {
				t.Errorf("%s %d: %v is not %q", route, status, err, kind)
			}
			if kind == nil && Permanent(err) {
				t.Errorf("%s %d: %v is permanent", route, status, err)
			}
		}
	}
}

// Hazard 33: streams and waits end with the engine, and calls work again.
func TestEngineRestarts(t *testing.T) {
	e, c := fake(t, fakeengine.Options{})
	ctx := testContext(t)
	id := fakeContainer(t, c, container.Config{})
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
	e.Stop()
	if err := stream.CopyOutput(io.Discard, io.Discard); err != nil {
		t.Logf("the stream ended with: %v", err)
	}
	if r := <-results; !errors.Is(r.Err, ErrUnavailable) {
		t.Errorf("the wait ended with %+v", r)
	}
	if err := c.StartContainer(ctx, id); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while it is gone: %v", err)
	}
	if _, err := c.AttachContainer(ctx, id, false); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while it is gone: %v", err)
	}
	tries := make(chan error, 1)
	var tried atomic.Int32
	go func() {
		tries <- Retry(ctx, func(ctx context.Context) error {
			tried.Add(1)
			return c.StartContainer(ctx, id)
		})
	}()
	until(t, "some tries", func() bool { return tried.Load() > 2 })
	e.Restart(t)
	if err := <-tries; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	_, c := fake(t, fakeengine.Options{})
	id := startedContainer(t, c)
	ctx, cancel := context.WithCancel(testContext(t))
	results, err := c.WaitContainer(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if r := <-results; !errors.Is(r.Err, context.Canceled) {
		t.Errorf("got %+v", r)
	}
	if _, open := <-results; open {
		t.Error("the channel is not closed")
	}
}

// Hazard 8: the size goes with the start where the engine can do that.
func TestSizeAtTheStart(t *testing.T) {
	for _, test := range []struct {
		o    fakeengine.Options
		want int
	}{
		{fakeengine.Options{APIVersion: "1.41"}, 0},
		{fakeengine.Options{APIVersion: "1.42"}, 80_024},
		{fakeengine.Options{APIVersion: "1.51"}, 80_024},
		{fakeengine.Options{APIVersion: "1.41", Podman: true}, 80_024},
	} {
		_, c := fake(t, test.o)
		box := startedContainer(t, c)
		id, stream := start(t, c, box, ExecSpec{TTY: true, Cmd: []string{"size"}, Columns: 80, Rows: 24})
		if err := stream.CopyOutput(io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
		if code := exitOf(t, c, id); code != test.want {
			t.Errorf("%+v: got %d", test.o, code)
		}
	}
}

// Hazard 6 and half-closing, over TLS as well.
func TestStreamsOfTheFake(t *testing.T) {
	authority := fakeengine.NewAuthority(t)
	for name, o := range map[string]fakeengine.Options{"unix": {}, "tls": {TLS: authority}} {
		t.Run(name, func(t *testing.T) {
			o.Programs = programs()
			o.Images = map[string]fakeengine.Image{"app": {Cmd: []string{"idle"}}}
			e := fakeengine.New(t, o)
			s := Settings{Host: e.Host()}
			if o.TLS != nil {
				s.CACert = authority.CA
				s.Cert, s.Key = authority.Client(time.Now().Add(time.Hour))
			}
			c := open(t, s)
			box := startedContainer(t, c)
			id, stream := start(t, c, box, ExecSpec{Cmd: []string{"cat"}})
			input := bytes.Repeat([]byte("abcdefgh"), 100_000)
			var out bytes.Buffer
			copied := make(chan error, 1)
			go func() { copied <- stream.CopyOutput(&out, io.Discard) }()
			if _, err := stream.Write(input); err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := <-copied; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), input) {
				t.Errorf("%d bytes came back of %d", out.Len(), len(input))
			}
			if code := exitOf(t, c, id); code != 3 {
				t.Errorf("exit code %d", code)
			}
			if err := c.RemoveContainer(testContext(t), box); err != nil {
				t.Error(err)
			}
		})
	}
}

// The engine's answer without an upgrade, and bytes that come with the answer.
func TestHijackAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		kind   error // nil: a stream that says "hi"
	}{
		"upgrade":     {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi", nil},
		"older":       {"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhi", nil},
		"some proxy":  {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", ErrNotImplemented},
		"plain words": {"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", ErrConflict},
		"nothing":     {"", ErrUnavailable},
		"nonsense":    {"SSH-2.0-x\r\n", ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Api-Version", "1.41")
				if r.Method != http.MethodPost {
					_, _ = io.WriteString(w, "{}")
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, test.answer)
					_ = conn.Close()
				}
			}))
			t.Cleanup(server.Close)
			c := open(t, Settings{Host: "tcp://" + server.Listener.Addr().String()})
			stream, err := c.AttachContainer(testContext(t), "x", true)
			if test.kind != nil {
				if !errors.Is(err, test.kind) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stream.Close() }()
			if text, err := io.ReadAll(stream); string(text) != "hi" || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

// Hazard 34, and what a hostile engine may send.
func TestPull(t *testing.T) {
	denied := `{"errorDetail":{"message":"denied: requested access to the resource is denied"},"error":"denied"}`
	for name, test := range map[string]struct {
		pull fakeengine.Pull
		kind error
		text string
	}{
		"good": {pull: fakeengine.Pull{Image: &fakeengine.Image{}, Lines: []string{
			`{"status":"Pulling from x","id":"latest"}`,
			`{"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"abc"}`}}},
		"denied inside":    {fakeengine.Pull{Lines: []string{denied}}, ErrUnauthorized, "denied"},
		"no manifest":      {fakeengine.Pull{Lines: []string{`{"error":"manifest unknown: manifest unknown"}`}}, ErrNotFound, "manifest"},
		"code":             {fakeengine.Pull{Lines: []string{`{"errorDetail":{"code":401,"message":"who are you"}}`}}, ErrUnauthorized, "who"},
		"refused":          {fakeengine.Pull{Status: 404, Message: "manifest for x:latest not found"}, ErrNotFound, "manifest"},
		"denied":           {fakeengine.Pull{Status: 404, Message: "pull access denied for x"}, ErrUnauthorized, "denied"},
		"engine's trouble": {fakeengine.Pull{Lines: []string{`{"error":"no space left on device"}`}}, nil, "no space left"},
		"nonsense":         {fakeengine.Pull{Lines: []string{"<html>"}}, nil, "can't be read"},
		"endless line":     {fakeengine.Pull{Lines: []string{strings.Repeat("x", progressLine+1)}}, nil, "a line of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			_, c := fake(t, fakeengine.Options{Pulls: map[string]fakeengine.Pull{"x": test.pull}})
			var news []PullProgress
			err := c.PullImage(testContext(t), "x", nil, func(p PullProgress) { news = append(news, p) })
			if test.text == "" {
				want := PullProgress{Layer: "abc", Status: "Downloading", Current: 5, Total: 10}
				if err != nil || len(news) != 2 || news[1] != want {
					t.Errorf("got %+v, %v", news, err)
				}
				if _, err := c.InspectImage(testContext(t), "x"); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.text) || test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		_, c := fake(t, fakeengine.Options{})
		if err := c.PullImage(testContext(t), "nobody/knows", nil, nil); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("got %v", err)
		}
		if err := c.PullImage(testContext(t), "Not A Name", nil, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v", err)
		}
		if err := c.LoadImage(testContext(t), strings.NewReader("tar")); err != nil {
			t.Error(err)
		}
	})
}
