package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// berthServer is a server of this project, the built program.
type berthServer struct {
	*endpoint
	*child
	metrics string // host:port
}

// serve starts a server with settings for its backend.
func (s *stage) serve(ctx context.Context, name string, docker map[string]any) (_ *berthServer, err error) {
	directory, err := s.directory()
	if err != nil {
		return nil, err
	}
	server := &berthServer{}
	if server.metrics, err = freeAddress(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"ssh":     map[string]any{"maxConnections": -1},
		"docker":  docker,
		"metrics": map[string]any{"listen": server.metrics},
		"log":     map[string]any{"level": "warn"}, // as little as sshd's
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(directory, "berth.yaml") // JSON is YAML
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.program, "serve", "--config", file, "--listen", "127.0.0.1:0",
		"--state-dir", filepath.Join(directory, "state"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if server.child, err = start(cmd); err != nil {
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	s.onClose(func(context.Context) error { return server.stop() })
	stop := context.AfterFunc(ctx, func() { _ = server.stop() })
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	if !stop() {
		return nil, context.Cause(ctx)
	}
	words := strings.Fields(ready)
	port, key, known := option(words, "-p"), option(words, "-i"), option(words, "UserKnownHostsFile=")
	if err != nil || port == "" || key == "" || known == "" {
		return nil, errors.Join(fmt.Errorf("no ready line of %s, but %q", name, ready), server.stop(), errors.New(server.said.String()))
	}
	server.endpoint, err = newEndpoint(name, "127.0.0.1:"+port, "berth", key, known)
	return server, err
}

// freeAddress is one where nobody listens now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// option finds what follows a word, as the next one or in the same, in the line
// that a server prints.
func option(words []string, name string) string {
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, name); ok && rest != "" {
			return rest
		} else if ok && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}

// metric asks the server for one of its metrics.
func (s *berthServer) metric(ctx context.Context, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", s.metrics, name)
}
