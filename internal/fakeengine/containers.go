package fakeengine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// container is guarded by Engine.mu, but for its output and process.
type container struct {
	id, name   string
	image      string
	labels     map[string]string
	command    []string
	env        []string
	user, dir  string
	tty        bool
	openStdin  bool
	autoRemove bool
	mounts     []mountPoint
	created    time.Time
	// state is created, running or exited.
	state    string
	exitCode int
	process  *Process
	// nextExit and removed are closed when that happens.
	nextExit, removed chan struct{}
}

type createRequest struct {
	Image, User, WorkingDir string
	Entrypoint, Cmd, Env    []string
	Labels                  map[string]string
	Tty, OpenStdin          bool
	HostConfig              struct {
		AutoRemove bool
		Mounts     []mountPoint
	}
}

func (e *Engine) createContainer(w http.ResponseWriter, r *http.Request) {
	var request createRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	name := r.URL.Query().Get("name")
	e.mu.Lock()
	image, ok := e.images[normal(request.Image)]
	var holder string
	if name != "" {
		for _, c := range e.containers {
			if c.name == name {
				holder = c.id
			}
		}
	}
	if !ok || holder != "" {
		e.mu.Unlock()
		if !ok {
			refuse(w, http.StatusNotFound, "No such image: %s", request.Image)
			return
		}
		refuse(w, http.StatusConflict, "Conflict. The container name \"/%s\" is already in use by container %q. "+
			"You have to remove (or rename) that container to be able to reuse that name.", name, holder)
		return
	}
	if source := e.makeVolumes(request.HostConfig.Mounts); source != "" {
		e.mu.Unlock()
		refuse(w, http.StatusBadRequest, "invalid mount config for type \"bind\": bind source path does not exist: %s", source)
		return
	}
	entrypoint, command := image.Entrypoint, image.Cmd
	if len(request.Entrypoint) > 0 {
		entrypoint, command = request.Entrypoint, nil
	}
	if len(request.Cmd) > 0 {
		command = request.Cmd
	}
	c := &container{
		id: e.nextID(), name: name, image: request.Image, labels: request.Labels,
		command: slices.Concat(entrypoint, command), env: slices.Concat(image.Env, request.Env),
		user: request.User, dir: request.WorkingDir,
		tty: request.Tty, openStdin: request.OpenStdin, autoRemove: request.HostConfig.AutoRemove,
		mounts: request.HostConfig.Mounts,
		state:  "created", created: time.Now(),
		nextExit: make(chan struct{}), removed: make(chan struct{}),
	}
	c.process = e.newContainerProcess(c)
	e.containers[c.id] = c
	e.mu.Unlock()
	answer(w, http.StatusCreated, map[string]any{"Id": c.id, "Warnings": []string{}})
}

func (e *Engine) newContainerProcess(c *container) *Process {
	p := newProcess(&output{})
	p.Args, p.Env, p.User, p.Dir, p.TTY = c.command, c.env, c.user, c.dir, c.tty
	p.Binds = c.binds()
	return p
}

// nextID is called with e.mu held.
func (e *Engine) nextID() string {
	e.serial++
	return fmt.Sprintf("%064x", 0xfa4e<<40+e.serial)
}

// find looks a container up by id or name, and answers when there is none.
func (e *Engine) find(w http.ResponseWriter, r *http.Request) *container {
	id := r.PathValue("id")
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.containers[id]; c != nil { // one of many thousands, maybe
		return c
	}
	for _, c := range e.containers {
		if c.name != "" && c.name == id {
			return c
		}
	}
	defer refuse(w, http.StatusNotFound, "No such container: %s", id)
	return nil
}

func (e *Engine) startContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	if c.state == "running" {
		e.mu.Unlock()
		w.WriteHeader(http.StatusNotModified)
		return
	}
	program, word := e.program(c.command)
	if program == nil {
		e.mu.Unlock()
		refuse(w, http.StatusBadRequest, "OCI runtime create failed: container_linux.go:380: starting container process "+
			"caused: exec: %q: executable file not found in $PATH: unknown", word)
		return
	}
	if c.state == "exited" {
		c.process = e.newContainerProcess(c)
		c.nextExit = make(chan struct{})
	}
	c.state = "running"
	p := c.process
	if !c.openStdin {
		_ = p.stdin.Close()
	}
	e.programs.Add(1)
	e.mu.Unlock()
	go func() {
		defer e.programs.Done()
		code := p.run(program)
		p.output.end()
		e.ended(c, code)
	}()
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) program(command []string) (Program, string) {
	if len(command) == 0 {
		return nil, ""
	}
	return e.options.Programs[command[0]], command[0]
}

func (e *Engine) ended(c *container, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.state, c.exitCode = "exited", code
	close(c.nextExit)
	for id, x := range e.execs {
		if x.container == c {
			if x.process != nil {
				x.process.kill()
			} else {
				delete(e.execs, id)
			}
		}
	}
	if c.autoRemove {
		e.forget(c)
		e.dropVolumes(c)
	}
}

// forget is called with e.mu held.
func (e *Engine) forget(c *container) {
	if e.containers[c.id] == c {
		delete(e.containers, c.id)
		close(c.removed)
	}
}

func (e *Engine) attachContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	p := c.process
	e.mu.Unlock()
	s := p.output.attach(func() (*streamConn, error) { return e.hijack(w, c.tty) })
	if s == nil {
		return
	}
	if c.openStdin {
		s.input(p.stdin)
		_ = p.stdin.Close()
	}
}

func (e *Engine) waitContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	event, stopped := c.nextExit, e.stopped
	switch condition := r.URL.Query().Get("condition"); {
	case condition == "removed":
		event = c.removed
	case condition == "next-exit":
		if c.state == "exited" {
			// The next one, after another start; nobody here does that.
			event = make(chan struct{})
		}
	case c.state != "running":
		event = make(chan struct{})
		close(event)
	}
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-event:
	case <-stopped:
		return
	case <-r.Context().Done():
		return
	}
	e.mu.Lock()
	code := c.exitCode
	e.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"StatusCode": code, "Error": nil})
}

func (e *Engine) resizeContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	running, p := c.state == "running", c.process
	e.mu.Unlock()
	resize(w, r, running, p, "Container "+c.id)
}

func resize(w http.ResponseWriter, r *http.Request, running bool, p *Process, what string) {
	columns, err1 := strconv.Atoi(r.URL.Query().Get("w"))
	rows, err2 := strconv.Atoi(r.URL.Query().Get("h"))
	switch {
	case err1 != nil || err2 != nil:
		refuse(w, http.StatusBadRequest, "no size given")
	case !running:
		refuse(w, http.StatusConflict, "%s is not running", what)
	default:
		p.resize(columns, rows)
		w.WriteHeader(http.StatusOK)
	}
}

func (e *Engine) killContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	running, p := c.state == "running", c.process
	e.mu.Unlock()
	if !running {
		refuse(w, http.StatusConflict, "Cannot kill container: %s: Container %s is not running", c.id, c.id)
		return
	}
	name := strings.TrimPrefix(r.URL.Query().Get("signal"), "SIG")
	if name == "" || name == "9" {
		name = "KILL"
	}
	p.signal(name)
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) stopContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	running, p, exited := c.state == "running", c.process, c.nextExit
	e.mu.Unlock()
	if !running {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	seconds, err := strconv.Atoi(r.URL.Query().Get("t"))
	if err != nil {
		seconds = 10
	}
	p.signal("TERM")
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		p.kill()
		<-exited
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) removeContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	running, p, exited := c.state == "running", c.process, c.nextExit
	e.mu.Unlock()
	if running {
		if r.URL.Query().Get("force") == "" {
			refuse(w, http.StatusConflict, "You cannot remove a running container %s. "+
				"Stop the container before attempting removal or force remove", c.id)
			return
		}
		p.kill()
		<-exited
	}
	p.output.end()
	e.mu.Lock()
	e.forget(c)
	if r.URL.Query().Get("v") != "" {
		e.dropVolumes(c)
	}
	e.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) inspectContainer(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	e.mu.Lock()
	body := map[string]any{
		"Id": c.id, "Name": "/" + c.name, "Image": c.image,
		"State":      map[string]any{"Status": c.state, "Running": c.state == "running", "ExitCode": c.exitCode},
		"Config":     map[string]any{"Labels": c.labels, "Tty": c.tty, "Cmd": c.command, "Env": c.env, "Image": c.image},
		"HostConfig": map[string]any{"AutoRemove": c.autoRemove},
	}
	e.mu.Unlock()
	answer(w, http.StatusOK, body)
}

func (e *Engine) listContainers(w http.ResponseWriter, r *http.Request) {
	var filters struct {
		Label map[string]bool `json:"label"`
	}
	if text := r.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			refuse(w, http.StatusBadRequest, "%v", err)
			return
		}
	}
	list := []any{}
	e.mu.Lock()
	for _, c := range e.containers {
		if (c.state == "running" || r.URL.Query().Get("all") != "") && carries(c.labels, filters.Label) {
			list = append(list, map[string]any{"Id": c.id, "Labels": c.labels, "State": c.state, "Created": c.created.Unix()})
		}
	}
	e.mu.Unlock()
	answer(w, http.StatusOK, list)
}

// carries says whether all labels that a filter names are there, with the value
// that it may have.
func carries(labels map[string]string, wanted map[string]bool) bool {
	for label := range wanted {
		name, value, exact := strings.Cut(label, "=")
		if has, ok := labels[name]; !ok || exact && has != value {
			return false
		}
	}
	return true
}
