package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"github.com/berth-ssh/berth/internal/testpodman"
)

// testLimit is far above what anything here takes; a test that needs it has
// failed.
const testLimit = 60 * time.Second

// testLabel is on whatever the tests make on a real engine.
const testLabel = "berth.engine.test"

func TestMain(m *testing.M) {
	code := m.Run()
	testpodman.Stop()
	CloseIdle()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, s Settings) *Client {
	t.Helper()
	c, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(CloseIdle)
	t.Cleanup(c.Close)
	return c
}

// dockerSocket is the socket of the Docker Engine that tests use.
func dockerSocket(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	socket, ok := strings.CutPrefix(host, "unix://")
	if _, err := os.Stat(socket); !ok || err != nil {
		t.Skipf("LOUD: no Docker Engine to test against: DOCKER_HOST is %q, error %v", host, err)
	}
	return socket
}

// eachEngine runs a test against the real engines of this machine.
func eachEngine(t *testing.T, test func(t *testing.T, c *Client, image string)) {
	t.Run("docker", func(t *testing.T) {
		c := open(t, Settings{Host: "unix://" + dockerSocket(t)})
		test(t, c, importImage(t, c))
	})
	t.Run("podman", func(t *testing.T) {
		c := open(t, Settings{Host: testpodman.Host(t)})
		test(t, c, importImage(t, c))
	})
}

// importImage makes an image of busybox and nothing else, for one test.
func importImage(t *testing.T, c *Client) string {
	t.Helper()
	const busybox = "/bin/busybox"
	binary, err := os.ReadFile(busybox)
	if err != nil {
		t.Skipf("LOUD: the tests against real engines need busybox-static: %v", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	write := func(h tar.Header, body []byte) {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	write(tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755}, nil)
	write(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	write(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(binary))}, binary)
	for _, name := range []string{"sh", "cat", "echo", "sleep", "stty", "dd", "head", "wc", "od", "true"} {
		write(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	ctx := testContext(t)
	n, err := c.link.negotiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ref := "berth-engine-test-" + unique(t)
	r, err := n.api.ImageImport(ctx, client.ImageImportSource{Source: &archive, SourceName: "-"}, ref,
		client.ImageImportOptions{Tag: "latest", Changes: []string{"LABEL " + testLabel + "=1", "ENV PATH=/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	t.Cleanup(func() {
		if _, err := n.api.ImageRemove(testContext(t), ref, client.ImageRemoveOptions{Force: true}); err != nil {
			t.Errorf("remove the image: %v", err)
		}
	})
	return ref
}

func unique(t testing.TB) string {
	t.Helper()
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}
