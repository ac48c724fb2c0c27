package fakeengine

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"time"
)

// Fault is something that goes wrong, once or always.
type Fault struct {
	// Route is the method and route, such as "POST /containers/{id}/start".
	Route string
	// Nth is the call that fails, counted from 1 and from the order of the
	// fault on. Zero means every call.
	Nth int

	// Delay comes before whatever else happens.
	Delay time.Duration
	// Hang gives no answer before the client leaves or the engine stops.
	Hang bool
	// Hold keeps the call until Release (or the engine's end), whether or not its
	// client still waits, and then carries it out: as an overloaded engine does.
	Hold bool
	// Status and Message refuse the call.
	Status  int
	Message string
	// CloseConnection hangs up without an answer. With Performed the call has
	// its effect before that: the answer is lost, not the request.
	CloseConnection, Performed bool
	// HalfAnswer hangs up within the answer's body.
	HalfAnswer bool

	seen int           // guarded by Engine.mu
	held chan struct{} // closed by Release
}

// Order makes a fault happen from now on. Faults of one route are tried in
// their order; the first that applies wins.
func (e *Engine) Order(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.held = make(chan struct{})
	e.faults = append(e.faults, &f)
}

// Release lets all calls go on that are held, and cancels those faults.
func (e *Engine) Release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = slices.DeleteFunc(e.faults, func(f *Fault) bool {
		if f.Hold {
			close(f.held)
		}
		return f.Hold
	})
}

// Repair cancels all faults, and lets go on what they held.
func (e *Engine) Repair() {
	e.Release()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

func (e *Engine) fault(route string) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	var applies *Fault
	for _, f := range e.faults {
		if f.Route != route {
			continue
		}
		f.seen++
		if applies == nil && (f.Nth == 0 || f.Nth == f.seen) {
			applies = f
		}
	}
	return applies
}

// suffer lets a fault happen, and tells whether that was the answer.
func (e *Engine) suffer(f *Fault, w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	e.mu.Lock()
	stopped := e.stopped
	e.mu.Unlock()
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-stopped:
		case <-r.Context().Done():
		}
	}
	if f.Hold {
		select {
		case <-f.held:
		case <-stopped:
		}
	}
	switch {
	case f.Hang:
		select {
		case <-stopped:
		case <-r.Context().Done():
		}
		hangUp(w, "")
	case f.CloseConnection:
		if f.Performed {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		hangUp(w, "")
	case f.HalfAnswer:
		hangUp(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"Id")
	case f.Status != 0:
		refuse(w, f.Status, "%s", f.Message)
	default:
		return false
	}
	return true
}

func hangUp(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(text))
	_ = conn.Close()
}
