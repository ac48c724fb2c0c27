package fakeengine

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// endLimit is how long a test waits for programs that ignore their end.
const endLimit = 10 * time.Second

// Options describe an Engine. The zero value is an engine without images and
// programs that speaks API 1.41.
type Options struct {
	// APIVersion is the newest version that is spoken. Default: 1.41.
	APIVersion string
	// Podman makes the engine say that it is Podman.
	Podman bool
	// Architecture in the engine's own words. Default: amd64.
	Architecture string
	// Images are those present, by reference; "app" means app:latest.
	Images map[string]Image
	// Pulls say what happens when an image is pulled; one that is not here is
	// denied, as registries do with what they don't know.
	Pulls map[string]Pull
	// Programs are found by the first word of a command.
	Programs map[string]Program
	// TLS makes the engine listen on TCP and ask for client certificates that
	// the authority signed.
	TLS *Authority
}

// Engine is a running fake. All methods may be called at any time.
type Engine struct {
	options          Options
	network, address string
	mux              *http.ServeMux
	// programs counts the functions that run.
	programs sync.WaitGroup

	mu         sync.Mutex // for memory only, never held over I/O
	server     *http.Server
	hijacked   map[net.Conn]struct{}
	stopped    chan struct{} // closed by Stop, made anew by Restart
	images     map[string]Image
	containers map[string]*container // by id
	execs      map[string]*execution
	faults     []*Fault
	calls      []Call
	serial     int
}

// New starts an engine that ends with the test.
func New(t testing.TB, o Options) *Engine {
	t.Helper()
	if o.APIVersion == "" {
		o.APIVersion = "1.41"
	}
	if o.Architecture == "" {
		o.Architecture = "amd64"
	}
	e := &Engine{
		options:    o,
		hijacked:   map[net.Conn]struct{}{},
		images:     map[string]Image{},
		containers: map[string]*container{},
		execs:      map[string]*execution{},
	}
	for ref, image := range o.Images {
		e.addImage(ref, image)
	}
	e.routes()

	if o.TLS != nil {
		// A port that is free now: a restart needs to be at the same one.
		e.network, e.address = "tcp", freePort(t)
	} else {
		// t.TempDir can be too long for the address of a socket.
		directory, err := os.MkdirTemp("", "fakeengine")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(directory) })
		e.network, e.address = "unix", filepath.Join(directory, "engine.sock")
	}
	if err := e.listen(); err != nil {
		t.Fatalf("start the fake engine: %v", err)
	}
	t.Cleanup(func() {
		e.Stop()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			e.programs.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(endLimit):
			t.Errorf("a program of the fake engine goes on %v after its Done was closed", endLimit)
		}
	})
	return e
}

// Host is the address in the form of an engine's Settings.
func (e *Engine) Host() string { return e.network + "://" + e.address }

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (e *Engine) listen() error {
	listener, err := net.Listen(e.network, e.address)
	if err != nil {
		return err
	}
	if e.options.TLS != nil {
		listener = tls.NewListener(listener, e.options.TLS.ServerConfig())
	}
	server := &http.Server{Handler: http.HandlerFunc(e.serve), ErrorLog: quiet}
	e.mu.Lock()
	e.server = server
	e.stopped = make(chan struct{})
	e.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
	return nil
}

// Stop ends the engine as an abrupt stop of the daemon does: all streams are
// cut, containers end, those with AutoRemove are removed, execs are forgotten.
func (e *Engine) Stop() {
	e.mu.Lock()
	server := e.server
	e.server = nil
	if server == nil {
		e.mu.Unlock()
		return
	}
	close(e.stopped)
	var processes []*Process
	for _, c := range e.containers {
		if c.process != nil {
			processes = append(processes, c.process)
		}
	}
	for _, x := range e.execs {
		if x.process != nil {
			processes = append(processes, x.process)
		}
	}
	e.execs = map[string]*execution{}
	var conns []net.Conn
	for conn := range e.hijacked {
		conns = append(conns, conn)
	}
	e.mu.Unlock()

	_ = server.Close()
	for _, conn := range conns {
		_ = conn.Close()
	}
	for _, p := range processes {
		p.kill()
	}
}

// Restart stops the engine, if it runs, and starts it again at the same
// address. Images, and containers without AutoRemove, are still there.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	e.Stop()
	if err := e.listen(); err != nil {
		t.Fatalf("restart the fake engine: %v", err)
	}
}

// Call is one request that the engine received.
type Call struct {
	Method string
	// Route has names for what varies: /containers/{id}/start.
	Route string
	// Path is as it was sent, with the version.
	Path string
	// Query is the raw query.
	Query string
}

// Calls are all requests up to now, in the order of their arrival.
func (e *Engine) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Call(nil), e.calls...)
}

// Count is how often a route was called, such as "POST /containers/create".
func (e *Engine) Count(route string) int {
	n := 0
	for _, call := range e.Calls() {
		if call.Method+" "+call.Route == route {
			n++
		}
	}
	return n
}

// Containers are the ids of those that exist, whatever their state.
func (e *Engine) Containers() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for id := range e.containers {
		ids = append(ids, id)
	}
	return ids
}

// Running is how many programs run, those of containers and of execs.
func (e *Engine) Running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, c := range e.containers {
		if c.state == "running" {
			n++
		}
	}
	for _, x := range e.execs {
		if x.running {
			n++
		}
	}
	return n
}
