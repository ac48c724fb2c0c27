// Package testmetrics asks a running server for what it tells Prometheus, over
// the control socket in its state directory: no port is needed for that.
package testmetrics

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// Metrics are values by name, with the labels as Prometheus writes them:
// name{label="value"}.
type Metrics map[string]float64

// Of asks the server that runs with a state directory.
func Of(ctx context.Context, stateDir string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://berth/metrics", nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(stateDir, "control.sock"))
	}}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	m := Metrics{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		last := strings.LastIndexByte(line, ' ')
		if last < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if m[line[:last]], err = strconv.ParseFloat(line[last+1:], 64); err != nil {
			return nil, fmt.Errorf("the metric %q: %w", line, err)
		}
	}
	return m, nil
}

// Get is one of them. The error says that there is none of that name.
func (m Metrics) Get(name string) (float64, error) {
	value, ok := m[name]
	if !ok {
		return 0, fmt.Errorf("no %s among the metrics", name)
	}
	return value, nil
}
