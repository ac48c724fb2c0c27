package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/berth-ssh/berth/docker"
)

// The control socket in the state directory is for the other commands of this
// program, and for whoever else may read that directory.
//
//	GET /containers   the containers that connections have, and the pool (status)
//	GET /leftovers    what nobody owns on the engine (reaped)
//	POST /leftovers   the same, removed
//	GET /metrics      for Prometheus
const controlSocket = "control.sock"

// status is what /containers answers with.
type status struct {
	Containers []docker.ContainerInfo
	Pool       docker.PoolStats
}

// serveControl serves the control socket, and the metrics on an address of their
// own if there is one, until stop is called.
func serveControl(state *state, address string, b *docker.Backend, m *metrics, log *slog.Logger) (stop func(), err error) {
	measured := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", measured)
	public := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop = func() { _ = public.Close() }
	if address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return stop, listenError(address, "metrics.listen", err)
		}
		log.Info("serving metrics", "address", l.Addr().String())
		go func() { _ = public.Serve(l) }()
	}

	all := http.NewServeMux()
	all.Handle("GET /metrics", measured)
	all.HandleFunc("GET /containers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status{b.Containers(), b.PoolStats()})
	})
	all.HandleFunc("GET /leftovers", serveLeftovers(b))
	all.HandleFunc("POST /leftovers", serveLeftovers(b))
	path := state.path(controlSocket)
	_ = os.Remove(path) // of an earlier run: the directory is locked
	l, err := net.Listen("unix", path)
	if err != nil {
		// The path may be longer than a socket's can be.
		log.Warn("there is no control socket: berth ps will not work", "error", err)
		return stop, nil
	}
	private := &http.Server{Handler: all, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = private.Serve(l) }()
	return func() {
		_ = public.Close()
		_ = private.Close() // removes the socket
	}, nil
}

// askControl asks the server that runs with a state directory.
func askControl(ctx context.Context, dir, what string, answer any) error {
	return callControl(ctx, dir, http.MethodGet, what, 10*time.Second, answer)
}

// callControl is askControl for what may take some time.
func callControl(ctx context.Context, dir, method, what string, timeout time.Duration, answer any) error {
	dir, err := stateDirectory(dir)
	if err != nil {
		return err
	}
	s := state{dir: dir}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path(controlSocket))
		},
		DisableKeepAlives: true,
	}}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://berth"+what, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		var operation *net.OpError
		if errors.As(err, &operation) {
			err = operation.Err
		}
		return fmt.Errorf("no server answers with the state directory %s: start one, or name its directory with --state-dir (%w)", dir, err)
	}
	defer func() { _ = response.Body.Close() }()
	return json.NewDecoder(response.Body).Decode(answer)
}
