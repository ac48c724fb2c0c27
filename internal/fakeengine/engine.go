package fakeengine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// endLimit is how long Close waits for programs that ignore their end.
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
	// Machine overrides what is told of the machine, by the API's names, such as
	// PidsLimit.
	Machine map[string]any
	// Images are those present, by reference; "app" means app:latest.
	Images map[string]Image
	// Pulls say what happens when an image is pulled; one that is not here is
	// denied, as registries do with what they don't know.
	Pulls map[string]Pull
	// Programs are found by the first word of a command.
	Programs map[string]Program
	// Elsewhere makes the engine see none of this machine's files: bind mounts
	// are refused.
	Elsewhere bool
	// TLS makes the engine listen on TCP and ask for client certificates that
	// the authority signed.
	TLS *Authority
}

// Engine is a running fake. All methods may be called at any time.
type Engine struct {
	options          Options
	network, address string
	directory        string // of the socket; empty with TLS
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
	volumes    map[string]*volume // by name
	faults     []*Fault
	calls      []Call
	serial     int
}

// New is Start for a test: the engine ends with it.
func New(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Start(o)
	if err != nil {
		t.Fatalf("start the fake engine: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Start starts an engine, which runs until Close.
func Start(o Options) (*Engine, error) {
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
		volumes:    map[string]*volume{},
	}
	for ref, image := range o.Images {
		e.addImage(ref, image)
	}
	e.routes()

	var err error
	if o.TLS != nil {
		e.network, e.address = "tcp", "127.0.0.1:0"
	} else {
		// Not a test's directory, which can be too long for the address of a
		// socket.
		e.network = "unix"
		e.directory, err = os.MkdirTemp("", "fakeengine")
		e.address = filepath.Join(e.directory, "engine.sock")
	}
	if err == nil {
		err = e.listen()
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close stops the engine for good. The error tells of a program that goes on
// after its Done was closed.
func (e *Engine) Close() error {
	e.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.programs.Wait()
	}()
	var err error
	select {
	case <-ended:
	case <-time.After(endLimit):
		err = fmt.Errorf("a program of the fake engine goes on %v after its Done was closed", endLimit)
	}
	if e.directory != "" {
		err = errors.Join(err, os.RemoveAll(e.directory))
	}
	return err
}

// Host is the address in the form of an engine's Settings.
func (e *Engine) Host() string { return e.network + "://" + e.address }

func (e *Engine) listen() error {
	listener, err := net.Listen(e.network, e.address)
	if err != nil {
		return err
	}
	e.address = listener.Addr().String() // a restart needs to be at the same port
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

// Cut breaks all streams off, as a proxy's end does; within a frame if there are
// frames. Programs go on.
func (e *Engine) Cut() {
	e.mu.Lock()
	var conns []net.Conn
	for conn := range e.hijacked {
		conns = append(conns, conn)
	}
	e.mu.Unlock()
	for _, conn := range conns {
		_, _ = conn.Write([]byte{1, 0, 0, 0, 0, 0, 0, 9, 'c', 'u', 't'})
		_ = conn.Close()
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

// Volumes is how many there are.
func (e *Engine) Volumes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.volumes)
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
