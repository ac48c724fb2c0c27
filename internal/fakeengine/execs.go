package fakeengine

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// execution is guarded by Engine.mu.
type execution struct {
	id        string
	container *container
	request   execRequest
	process   *Process // nil before the start
	running   bool
	exitCode  *int
}

type execRequest struct {
	Cmd, Env         []string
	User, WorkingDir string
	Tty, AttachStdin bool
	ConsoleSize      []int
}

func (e *Engine) createExec(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	x := &execution{container: c}
	if err := json.NewDecoder(r.Body).Decode(&x.request); err != nil || len(x.request.Cmd) == 0 {
		refuse(w, http.StatusBadRequest, "No exec command specified")
		return
	}
	e.mu.Lock()
	running := c.state == "running"
	if running {
		x.id = e.nextID()
		e.execs[x.id] = x
	}
	e.mu.Unlock()
	if !running {
		refuse(w, http.StatusConflict, "Container %s is not running", c.id)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"Id": x.id})
}

func (e *Engine) findExec(w http.ResponseWriter, r *http.Request) *execution {
	id := r.PathValue("id")
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.execs[id]
	if x == nil {
		defer refuse(w, http.StatusNotFound, "No such exec instance: %s", id)
	}
	return x
}

func (e *Engine) startExec(w http.ResponseWriter, r *http.Request) {
	x := e.findExec(w, r)
	if x == nil {
		return
	}
	var request struct {
		ConsoleSize []int
		H, W        int
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	p := newProcess(&output{})
	p.Args, p.Env = x.request.Cmd, slices.Concat(x.container.env, x.request.Env)
	p.User, p.Dir, p.TTY = x.request.User, x.request.WorkingDir, x.request.Tty
	p.Binds = x.container.binds()
	p.columns, p.rows = e.consoleSize(request.ConsoleSize, request.H, request.W)

	e.mu.Lock()
	started, alive := x.process != nil, x.container.state == "running"
	if !started && alive {
		x.process, x.running = p, true
		e.programs.Add(1)
	}
	e.mu.Unlock()
	if started || !alive {
		what := "Container " + x.container.id + " is not running"
		if started {
			what = "Error: Exec command " + x.id + " is already running"
		}
		refuse(w, http.StatusConflict, "%s", what)
		return
	}
	defer e.programs.Done()

	s := p.output.attach(func() (*streamConn, error) { return e.hijack(w, x.request.Tty) })
	if s != nil {
		if x.request.AttachStdin {
			e.programs.Add(1)
			go func() {
				defer e.programs.Done()
				s.input(p.stdin)
				_ = p.stdin.Close()
			}()
		} else {
			_ = p.stdin.Close()
		}
	}
	program, word := e.program(p.Args)
	code := 126
	if program != nil {
		code = p.run(program)
	} else {
		_, _ = p.Stdout.Write([]byte("OCI runtime exec failed: exec failed: container_linux.go:380: starting container " +
			"process caused: exec: " + strconv.Quote(word) + ": executable file not found in $PATH: unknown\r\n"))
	}
	e.mu.Lock()
	x.running, x.exitCode = false, &code
	e.mu.Unlock()
	p.output.end()
}

// consoleSize takes a size the way that the engine's kind and version do.
func (e *Engine) consoleSize(console []int, h, w int) (columns, rows int) {
	switch {
	case e.options.Podman:
		return w, h
	case minor(e.options.APIVersion) >= 42 && len(console) == 2:
		return console[1], console[0]
	}
	return 0, 0
}

func (e *Engine) inspectExec(w http.ResponseWriter, r *http.Request) {
	x := e.findExec(w, r)
	if x == nil {
		return
	}
	e.mu.Lock()
	pid := 0
	if x.running {
		pid = 4242
	}
	body := map[string]any{"ID": x.id, "ContainerID": x.container.id, "Running": x.running, "ExitCode": x.exitCode, "Pid": pid}
	e.mu.Unlock()
	answer(w, http.StatusOK, body)
}

func (e *Engine) resizeExec(w http.ResponseWriter, r *http.Request) {
	x := e.findExec(w, r)
	if x == nil {
		return
	}
	e.mu.Lock()
	running, p := x.running, x.process
	e.mu.Unlock()
	resize(w, r, running, p, "exec "+x.id)
}
