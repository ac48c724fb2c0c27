package guestimage

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/berth-ssh/berth/internal/engine"
)

//go:embed assets
var assets embed.FS

// ErrNotBuilt says that this program was built without the image's programs.
var ErrNotBuilt = errors.New("this berth was built without its guest image; " +
	"build it with `make build`, or set docker.execution.container.image to an image of your own")

// repository is fully qualified, since engines complete shorter names each in
// its own way.
const repository = "localhost/berth-guest"

// Engine is what Ensure needs of an engine.
type Engine interface {
	InspectImage(ctx context.Context, ref string) (engine.Image, error)
	LoadImage(ctx context.Context, tar io.Reader) error
}

// Ensure loads the image for an architecture (a GOARCH) into the engine unless
// it is there, and returns its name.
func Ensure(ctx context.Context, e Engine, arch string) (name string, err error) {
	image, err := get(arch)
	if err != nil {
		return "", err
	}
	_, err = e.InspectImage(ctx, image.name)
	if err == nil {
		return image.name, nil
	}
	if !errors.Is(err, engine.ErrNotFound) {
		return "", fmt.Errorf("look for the guest image: %w", err)
	}
	if err := e.LoadImage(ctx, bytes.NewReader(image.tar)); err != nil {
		return "", fmt.Errorf("load the guest image: %w", err)
	}
	return image.name, nil
}

// Agent is the guest agent for an architecture (a GOARCH), a static program.
func Agent(arch string) ([]byte, error) { return program(assets, "agent-linux-"+arch+".gz") }

// Name is the image's name for an architecture.
func Name(arch string) (string, error) {
	image, err := get(arch)
	if err != nil {
		return "", err
	}
	return image.name, nil
}

// built is an image in the form that engines load.
type built struct {
	name string
	tar  []byte
}

var (
	amd64 = sync.OnceValues(func() (built, error) { return build(assets, "amd64") })
	arm64 = sync.OnceValues(func() (built, error) { return build(assets, "arm64") })
)

func get(arch string) (built, error) {
	switch arch {
	case "amd64":
		return amd64()
	case "arm64":
		return arm64()
	}
	return built{}, fmt.Errorf("there is no built-in guest image for the engine's architecture %q: "+
		"set docker.execution.container.image to an image of your own", arch)
}

// build makes the image, always the same from the same programs, which are in
// assets.
func build(assets fs.FS, arch string) (built, error) {
	agent, err := program(assets, "agent-linux-"+arch+".gz")
	if err != nil {
		return built{}, err
	}
	guest, err := program(assets, "guest-linux-"+arch+".gz")
	if err != nil {
		return built{}, err
	}
	layer, err := rootFS(agent, guest)
	if err != nil {
		return built{}, err
	}
	sum := sha256.Sum256(append(layer, configJSON(arch, "")...))
	name := repository + ":" + hex.EncodeToString(sum[:])[:12]
	tar, err := archive(name, arch, layer)
	return built{name, tar}, err
}

// program unpacks an embedded program.
func program(assets fs.FS, name string) ([]byte, error) {
	f, err := assets.Open("assets/" + name)
	if err != nil {
		return nil, ErrNotBuilt
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(z)
}
