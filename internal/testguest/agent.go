package testguest

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const modulePath = "github.com/berth-ssh/berth"

func withAgent(ctx context.Context, image string) (string, error) {
	rest, own := strings.CutPrefix(image, repository)
	name, tag, ok := strings.Cut(rest, ":")
	k, known := kinds[name]
	if !own || !ok || !known {
		return "", fmt.Errorf("%s is no guest of this package", image)
	}
	agent, err := buildStatic(ctx, "cmd/berth-agent")
	if err != nil {
		return "", err
	}
	result := repository + name + "-agent:" + hash("agent 1", tag, string(agent))
	return result, ensureImage(ctx, EngineHost(), result, func() (archive, error) {
		r, err := k.recipe(ctx)
		if err != nil {
			return archive{}, err
		}
		base, err := r.layer(ctx)
		if err != nil {
			return archive{}, err
		}
		top, err := makeTar(func(tw *tar.Writer) error {
			return addFile(tw, strings.TrimPrefix(AgentPath, "/"), 0o755, agent)
		})
		if err != nil {
			return archive{}, err
		}
		return archive{layers: []layer{base, {content: top}}, config: r.config}, nil
	})
}

// buildStatic builds a command of this module for a container on this
// machine's architecture and returns it. The same source gives the same bytes.
func buildStatic(ctx context.Context, pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "berth-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// The same program for tests of other modules of the work tree: theirs may
	// have other versions of what it is built from.
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", modulePath, err)
	}
	path := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, modulePath+"/"+pkg)
	cmd.Dir = strings.TrimSpace(string(module))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return os.ReadFile(path)
}
