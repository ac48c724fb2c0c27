package containerssh_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	mediatypes "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/berth-ssh/berth/internal/testguest"
)

// inRegistry puts an image of the engine into a registry on loopback, for what
// pulls always, with one layer more, and returns its name there.
func inRegistry(t *testing.T, image string, top []byte) string {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.WithHost(testguest.EngineHost()), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	there, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/guest:latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(there, withLayer(t, saved(t, engine, image), top), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := engine.ImageRemove(context.Background(), there.Name(), types.ImageRemoveOptions{})
		if err != nil && !client.IsErrNotFound(err) {
			t.Logf("the image %s is left: %v", there, err)
		}
	})
	return there.Name()
}

// saved gets an image out of the engine.
func saved(t *testing.T, engine *client.Client, image string) v1.Image {
	t.Helper()
	content, err := engine.ImageSave(t.Context(), []string{image})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	path := filepath.Join(t.TempDir(), "image.tar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, content); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	result, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// withLayer is an image with a layer on top. Its layers are not compressed,
// which would take longer than all else here.
func withLayer(t *testing.T, image v1.Image, top []byte) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	below, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	result, err := mutate.Config(empty.Image, config.Config)
	if err != nil {
		t.Fatal(err)
	}
	tars := make([][]byte, 0, len(below)+1)
	for _, l := range below {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		tars = append(tars, content)
	}
	for _, content := range append(tars, top) {
		if result, err = mutate.AppendLayers(result, static.NewLayer(content, mediatypes.DockerUncompressedLayer)); err != nil {
			t.Fatal(err)
		}
	}
	return result
}

// link is a layer with one symbolic link.
func link(t *testing.T, name, target string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
