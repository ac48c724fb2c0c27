package fakeengine

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call makes one request; what others need of the fake is tested with the real
// client, in package engine.
func call(t *testing.T, e *Engine, method, path, body string) (status int, answer string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(e.Host(), "unix://"))
		}}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://fake"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func TestLife(t *testing.T) {
	ended := make(chan struct{})
	e := New(t, Options{
		Images: map[string]Image{"app": {Entrypoint: []string{"run"}, Env: []string{"A=1"}}},
		Programs: map[string]Program{"run": func(p *Process) int {
			defer close(ended)
			for {
				select {
				case name := <-p.Signals:
					if name == "TERM" {
						return 15
					}
				case <-p.Done:
					return 0
				}
			}
		}},
	})
	if status, text := call(t, e, "POST", "/v1.41/containers/create?name=one", `{"Image":"app","HostConfig":{"AutoRemove":true}}`); status != 201 {
		t.Fatal(status, text)
	}
	if status, text := call(t, e, "POST", "/v1.41/containers/create?name=one", `{"Image":"app"}`); status != 409 {
		t.Error(status, text)
	}
	if status, text := call(t, e, "POST", "/v1.42/containers/one/start", ""); status != 400 || !strings.Contains(text, "too new") {
		t.Error(status, text)
	}
	if status, text := call(t, e, "POST", "/v1.41/containers/one/start", ""); status != 204 {
		t.Fatal(status, text)
	}
	if e.Running() != 1 {
		t.Error("does not run")
	}
	if status, text := call(t, e, "POST", "/v1.41/containers/one/stop?t=60", ""); status != 204 {
		t.Error(status, text)
	}
	<-ended
	if n := len(e.Containers()); n != 0 {
		t.Errorf("AutoRemove left %d", n)
	}
	if n := e.Count("POST /containers/create"); n != 2 {
		t.Errorf("counted %d", n)
	}
}

func TestFaults(t *testing.T) {
	e := New(t, Options{})
	const ping = "/_ping"
	e.Order(Fault{Route: "GET /_ping", Nth: 2, Status: 503, Message: "100% busy"})
	e.Order(Fault{Route: "GET /_ping", Nth: 3, CloseConnection: true})
	e.Order(Fault{Route: "GET /_ping", Nth: 4, HalfAnswer: true})
	e.Order(Fault{Route: "GET /_ping", Nth: 5, Delay: time.Millisecond})
	e.Order(Fault{Route: "GET /_ping", Nth: 6, Hang: true})
	for i, want := range []int{200, 503, 0, 200, 200} {
		status, text := call(t, e, "GET", ping, "")
		if status != want {
			t.Errorf("call %d: %d %s", i+1, status, text)
		}
		if i == 1 && !strings.Contains(text, "100% busy") {
			t.Errorf("got %s", text)
		}
	}
	hung := make(chan int)
	go func() {
		status, _ := call(t, e, "GET", ping, "")
		hung <- status
	}()
	for e.Count("GET /_ping") < 6 {
		time.Sleep(time.Millisecond)
	}
	e.Stop()
	if status := <-hung; status != 0 {
		t.Errorf("a hanging call got %d", status)
	}
	if status, _ := call(t, e, "GET", ping, ""); status != 0 {
		t.Errorf("a stopped engine answered %d", status)
	}
	e.Restart(t)
	if status, text := call(t, e, "GET", ping, ""); status != 200 {
		t.Error(status, text)
	}
}
