package fakeengine

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
)

var quiet = log.New(io.Discard, "", 0)

func (e *Engine) routes() {
	e.mux = http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"/_ping":                        e.ping,
		"GET /version":                  e.version,
		"GET /info":                     e.info,
		"GET /images/{name...}":         e.inspectImage,
		"POST /images/create":           e.pullImage,
		"POST /images/load":             e.loadImage,
		"POST /containers/create":       e.createContainer,
		"GET /containers/json":          e.listContainers,
		"GET /containers/{id}/json":     e.inspectContainer,
		"POST /containers/{id}/start":   e.startContainer,
		"POST /containers/{id}/attach":  e.attachContainer,
		"POST /containers/{id}/wait":    e.waitContainer,
		"POST /containers/{id}/resize":  e.resizeContainer,
		"POST /containers/{id}/kill":    e.killContainer,
		"POST /containers/{id}/stop":    e.stopContainer,
		"DELETE /containers/{id}":       e.removeContainer,
		"PUT /containers/{id}/archive":  e.putArchive,
		"HEAD /containers/{id}/archive": e.statArchive,
		"GET /volumes":                  e.listVolumes,
		"DELETE /volumes/{name}":        e.removeVolume,
		"POST /containers/{id}/exec":    e.createExec,
		"POST /exec/{id}/start":         e.startExec,
		"GET /exec/{id}/json":           e.inspectExec,
		"POST /exec/{id}/resize":        e.resizeExec,
	} {
		e.mux.HandleFunc(pattern, handler)
	}
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	call := Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	if version, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/"); ok &&
		strings.HasPrefix(r.URL.Path, "/v1.") {
		r.URL.Path = "/" + rest
		if minor(version) > minor(e.options.APIVersion) {
			refuse(w, http.StatusBadRequest, "client version %s is too new. "+
				"Maximum supported API version is %s", version, e.options.APIVersion)
			return
		}
	}
	handler, pattern := e.mux.Handler(r)
	call.Route = pattern
	if _, route, ok := strings.Cut(pattern, " "); ok {
		call.Route = route
	}
	if call.Route == "/images/{name...}" {
		call.Route = "/images/{name}/json"
	}
	e.mu.Lock()
	e.calls = append(e.calls, call)
	e.mu.Unlock()
	w.Header().Set("Api-Version", e.options.APIVersion)
	if f := e.fault(call.Method + " " + call.Route); f != nil && e.suffer(f, w, r, e.mux) {
		return
	}
	if handler == nil || pattern == "" {
		refuse(w, http.StatusNotFound, "page not found")
		return
	}
	e.mux.ServeHTTP(w, r)
}

func minor(version string) int {
	_, text, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(text)
	return n
}

func (e *Engine) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Ostype", "linux")
	_, _ = io.WriteString(w, "OK")
}

func (e *Engine) version(w http.ResponseWriter, _ *http.Request) {
	name := "Engine"
	if e.options.Podman {
		name = "Podman Engine"
	}
	answer(w, http.StatusOK, map[string]any{
		"Version": "20.10.0-fake", "ApiVersion": e.options.APIVersion, "MinAPIVersion": "1.12",
		"Os": "linux", "Arch": e.options.Architecture,
		"Components": []any{map[string]any{"Name": name, "Version": "20.10.0-fake"}},
	})
}

// info is that of a machine with 8 GiB on which everything can be limited, unless
// Options.Machine says otherwise.
func (e *Engine) info(w http.ResponseWriter, _ *http.Request) {
	info := map[string]any{
		"MemTotal": 8 << 30, "NCPU": 4,
		"MemoryLimit": true, "SwapLimit": true, "PidsLimit": true, "CPUShares": true,
	}
	maps.Copy(info, e.options.Machine)
	answer(w, http.StatusOK, info)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"message": fmt.Sprintf(format, args...)})
}

// hijack takes the connection over. What the client sent before the answer is
// lost, as it is with Docker.
func (e *Engine) hijack(w http.ResponseWriter, tty bool) (*streamConn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	running := e.server != nil
	e.hijacked[conn] = struct{}{}
	e.mu.Unlock()
	s := &streamConn{Conn: conn, engine: e, tty: tty}
	if !running {
		s.end()
		return nil, net.ErrClosed
	}
	_, _ = buffered.Discard(buffered.Reader.Buffered())
	if _, err := io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"+
		"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// streamConn is a hijacked connection.
type streamConn struct {
	net.Conn
	engine *Engine
	tty    bool
}

// end closes the connection, after the bytes already written.
func (s *streamConn) end() {
	s.engine.mu.Lock()
	delete(s.engine.hijacked, s.Conn)
	s.engine.mu.Unlock()
	_ = s.Close()
}

// output writes one piece of output, framed where there is no terminal. One
// Write per frame keeps the frames of stdout and stderr apart.
func (s *streamConn) output(kind byte, b []byte) error {
	if !s.tty {
		frame := make([]byte, 8, 8+len(b))
		frame[0] = kind
		binary.BigEndian.PutUint32(frame[4:], uint32(len(b)))
		b = append(frame, b...)
	}
	_, err := s.Write(b)
	return err
}

// input copies what the client sends until it half-closes or leaves.
func (s *streamConn) input(stdin io.Writer) {
	_, _ = io.Copy(stdin, bufio.NewReader(s.Conn))
	if s.tty {
		s.end()
	}
}
