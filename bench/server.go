package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/berth-ssh/berth/internal/testmetrics"
)

// berthServer is a server of this project, the built program.
type berthServer struct {
	*endpoint
	*child
	state string // its directory
}

// serve starts a server with settings for its backend.
func (s *stage) serve(ctx context.Context, name string, docker map[string]any) (_ *berthServer, err error) {
	directory, err := s.directory()
	if err != nil {
		return nil, err
	}
	server := &berthServer{state: filepath.Join(directory, "state")}
	config, err := json.Marshal(map[string]any{
		"ssh":    map[string]any{"maxConnections": -1},
		"docker": docker,
		"log":    map[string]any{"level": "warn"}, // as little as sshd's
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(directory, "berth.yaml") // JSON is YAML
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.program, "serve", "--config", file, "--listen", "127.0.0.1:0",
		"--state-dir", server.state)
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
	m, err := testmetrics.Of(ctx, s.state)
	if err != nil {
		return 0, err
	}
	return m.Get(name)
}
