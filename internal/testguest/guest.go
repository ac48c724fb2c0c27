package testguest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
)

// Label is carried by every image and container that tests make.
const Label = "berth.test"

// AgentPath is where WithAgent puts the guest agent.
const AgentPath = "/usr/bin/containerssh-agent"

// repository is the common beginning of the names of all guests.
const repository = "berth-test/"

// makeTimeout bounds making one guest: debootstrap takes half a minute where
// the mirror is near, and may have to wait for another process that makes the
// same guest.
const makeTimeout = 10 * time.Minute

// Debian returns the name of an image with a small Debian: bash is root's
// shell with the prompt "guest# ", in /root, with the locale C.UTF-8.
func Debian(t testing.TB) string {
	t.Helper()
	return guest(t, EngineHost(), debian)
}

// Busybox returns the name of an image that holds only busybox and its links:
// /bin/sh is ash, and there is no bash.
func Busybox(t testing.TB) string {
	t.Helper()
	return BusyboxOn(t, EngineHost())
}

// BusyboxOn is Busybox on another engine, such as testpodman's.
func BusyboxOn(t testing.TB, host string) string {
	t.Helper()
	return guest(t, host, busybox)
}

// Scratch returns the name of an image without a shell. It holds one static
// program, /guest (see the scratch directory): it prints its arguments, sleeps,
// and exits with a code of choice.
func Scratch(t testing.TB) string {
	t.Helper()
	return guest(t, EngineHost(), scratch)
}

// WithAgent returns the name of an image that has the guest agent of this work
// tree at AgentPath on top of image, which is the result of one of the other
// functions.
func WithAgent(t testing.TB, image string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), makeTimeout)
	defer cancel()
	name, err := withAgent(ctx, image)
	if err != nil {
		t.Fatalf("guest %s with agent: %v", image, err)
	}
	return name
}

// EngineHost returns the address of the engine that tests use, in the form of
// DOCKER_HOST.
func EngineHost() string {
	if h := os.Getenv("DOCKER_HOST"); h != "" {
		return h
	}
	return defaultHost
}

// MakeBusybox is BusyboxOn for programs that are no tests.
func MakeBusybox(ctx context.Context, host string) (image string, err error) {
	return makeGuest(ctx, host, busybox)
}

// MakeProgram makes an image that holds a static program, /guest, which is built
// from a package of this module, the guest agent at AgentPath, and an empty
// /tmp. The image's name is returned. It is for programs that are no tests.
func MakeProgram(ctx context.Context, host, pkg string) (image string, err error) {
	return makeGuest(ctx, host, program(pkg))
}

func guest(t testing.TB, host string, k kind) string {
	t.Helper()
	image, err := makeGuest(t.Context(), host, k)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func makeGuest(ctx context.Context, host string, k kind) (image string, err error) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	r, err := k.recipe(ctx)
	if err == nil {
		err = ensureImage(ctx, host, r.image(), func() (archive, error) {
			l, err := r.layer(ctx)
			return archive{layers: []layer{l}, config: r.config}, err
		})
	}
	if err != nil {
		return "", fmt.Errorf("guest %s: %w", k.name, err)
	}
	return r.image(), nil
}

// kinds are the guests that this package knows, by name.
var kinds = map[string]kind{debian.name: debian, busybox.name: busybox, scratch.name: scratch}

// kind is one sort of guest.
type kind struct {
	name string
	// recipe says what goes into the guest on this machine. It is quick.
	recipe func(ctx context.Context) (recipe, error)
}

// recipe is a guest before it is made.
type recipe struct {
	name string
	// hash covers all that the guest is made from.
	hash   string
	config runConfig
	// layer makes the only layer.
	layer func(ctx context.Context) (layer, error)
}

func (r recipe) image() string { return repository + r.name + ":" + r.hash }

// ensureImage loads an image into the engine at host unless it is there.
func ensureImage(ctx context.Context, host, name string, content func() (archive, error)) error {
	e, err := engine.Open(engine.Settings{Host: host, Timeout: time.Minute})
	if err != nil {
		return noEngine(host, err)
	}
	defer e.Close()

	present := func() (bool, error) {
		_, err := e.InspectImage(ctx, name)
		if errors.Is(err, engine.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	if ok, err := present(); err != nil {
		return noEngine(host, err)
	} else if ok {
		return nil
	}

	unlock, err := lock(ctx, strings.NewReplacer("/", "-", ":", "-").Replace(name))
	if err != nil {
		return err
	}
	defer unlock()
	if ok, err := present(); ok || err != nil {
		return err
	}
	a, err := content()
	if err != nil {
		return err
	}
	a.name = name
	r, w := io.Pipe()
	go func() { w.CloseWithError(a.write(w)) }()
	defer r.Close()
	if err := e.LoadImage(ctx, r); err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	if ok, err := present(); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("load %s: the engine does not have it afterwards", name)
	}
	return nil
}

func noEngine(host string, err error) error {
	return fmt.Errorf("no container engine at %s (run \"make setup\", or set DOCKER_HOST): %w", host, err)
}
