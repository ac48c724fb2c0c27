package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/sshserver"
)

// testRegistry is a real registry on loopback, which wants a password.
type testRegistry struct {
	host      string
	manifests atomic.Int64 // requests for manifests: one pull makes at least one
}

const registryUser, registryPassword = "puller", "right"

func newRegistry(t *testing.T) *testRegistry {
	r := &testRegistry{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if user != registryUser || password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		if strings.Contains(req.URL.Path, "/manifests/") {
			r.manifests.Add(1)
		}
		inner.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// push puts a busybox image into the registry, under a name of its own, and
// returns its reference.
func (r *testRegistry) push(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("busybox-static is needed: %v", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	entries := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777},
	}
	for _, command := range []string{"sh", "cat", "echo", "env", "grep", "head", "sleep", "stty", "tty"} {
		entries = append(entries, tar.Header{Name: "bin/" + command, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
	}
	for _, e := range entries {
		if err := w.WriteHeader(&e); err != nil {
			t.Fatal(err)
		}
		if e.Size > 0 {
			_, _ = w.Write(busybox)
		}
	}
	_ = w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(t, image)},
		Config: v1.Config{Labels: map[string]string{testguest.Label: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var random [6]byte
	_, _ = rand.Read(random[:])
	ref, err := name.ParseReference(r.host + "/guest" + hex.EncodeToString(random[:]) + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(authn.FromConfig(authn.AuthConfig{
		Username: registryUser, Password: registryPassword,
	}))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, ref.String()) })
	return ref.String()
}

func diffIDs(t *testing.T, image v1.Image) []v1.Hash {
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.RootFS.DiffIDs
}

// removeImage removes what a test has pulled, over the engine's API as such:
// Berth itself never removes an image.
func removeImage(t *testing.T, ref string) {
	socket, ok := strings.CutPrefix(testguest.EngineHost(), "unix://")
	if !ok {
		t.Logf("the image %s is left: only engines on a unix socket are cleaned", ref)
		return
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	req, _ := http.NewRequest(http.MethodDelete, "http://engine/v1.40/images/"+ref+"?force=1", nil)
	if resp, err := c.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// credentials writes the engine client's standard config file.
func credentials(t *testing.T, host, user, password string) {
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

// login runs a command in a container of its own connection, and returns what
// the user sees.
func login(t *testing.T, c docker.Config, id, command string) (sshserver.ExitStatus, string, string) {
	t.Helper()
	return loginAs(t, "tester", c, id, command)
}

func loginAs(t *testing.T, user string, c docker.Config, id, command string) (sshserver.ExitStatus, string, string) {
	t.Helper()
	handler, err := docker.New(net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, id, c, testLogger(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return runAs(t, user, handler, command)
}

// runAs logs in and runs one command.
func runAs(t *testing.T, user string, handler sshserver.NetworkConnectionHandler, command string) (sshserver.ExitStatus, string, string) {
	t.Helper()
	defer handler.OnDisconnect()
	ssh, err := handler.OnHandshakeSuccess(user)
	if err != nil {
		t.Fatal(err)
	}
	session, err := ssh.OnSessionChannel(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.OnClose()
	var stdout, stderr lockedBuffer
	exit := make(chan sshserver.ExitStatus, 1)
	err = session.OnExecRequest(1, command, strings.NewReader(""), &stdout, &stderr, func(s sshserver.ExitStatus) { exit <- s })
	if err != nil {
		t.Fatal(err)
	}
	return <-exit, stdout.String(), stderr.String()
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// The three policies against a real registry: what is pulled when.
func TestPullPolicies(t *testing.T) {
	r := newRegistry(t)
	credentials(t, r.host, registryUser, registryPassword)
	for _, mode := range []docker.ExecutionMode{docker.ExecutionModeConnection, docker.ExecutionModeSession} {
		t.Run(string(mode), func(t *testing.T) {
			image := r.push(t)
			c := config(image, mode, docker.AgentNone)
			hello := func(policy docker.ImagePullPolicy, wantPulls bool) {
				t.Helper()
				c.Execution.ImagePullPolicy = policy
				before := r.manifests.Load()
				status, stdout, stderr := login(t, c, t.Name(), "echo hello")
				if status.Code != 0 || stdout != "hello\n" {
					t.Errorf("%s: exit %+v, stdout %q, stderr %q", policy, status, stdout, stderr)
				}
				if pulled := r.manifests.Load() > before; pulled != wantPulls {
					t.Errorf("%s: pulled %v, want %v", policy, pulled, wantPulls)
				}
			}
			c.Execution.ImagePullPolicy = docker.ImagePullPolicyNever
			status, _, stderr := login(t, c, t.Name(), "echo hello")
			wantWords(t, status, stderr, "not on this server")

			hello(docker.ImagePullPolicyIfNotPresent, true)
			hello(docker.ImagePullPolicyIfNotPresent, false)
			hello(docker.ImagePullPolicyNever, false)
			hello(docker.ImagePullPolicyAlways, true)
		})
	}
}

// Hazard 16: whatever keeps an image away, the user is told in words.
func TestPullFailures(t *testing.T) {
	r := newRegistry(t)
	image := r.push(t)
	noServer := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}()
	for _, c := range []struct{ name, image, password, words string }{
		{"wrong credentials", image, "wrong", "refuses this server's credentials"},
		{"missing tag", strings.Replace(image, ":v1", ":v2", 1), registryPassword, "no such image or tag"},
		{"unreachable registry", noServer + "/guest:v1", registryPassword, "registry cannot be reached"},
	} {
		for _, policy := range []docker.ImagePullPolicy{docker.ImagePullPolicyAlways, docker.ImagePullPolicyIfNotPresent} {
			t.Run(c.name+"/"+string(policy), func(t *testing.T) {
				credentials(t, r.host, registryUser, c.password)
				cfg := config(c.image, docker.ExecutionModeConnection, docker.AgentNone)
				cfg.Execution.ImagePullPolicy = policy
				status, _, stderr := login(t, cfg, t.Name(), "echo hello")
				wantWords(t, status, stderr, c.words)
			})
		}
	}
}

func wantWords(t *testing.T, status sshserver.ExitStatus, stderr, words string) {
	t.Helper()
	if status.Code != 255 || !strings.Contains(stderr, docker.UserMessageInitializeSSHSession) || !strings.Contains(stderr, words) {
		t.Errorf("exit %+v, stderr %q; want 255 and %q", status, stderr, words)
	}
	if strings.Count(stderr, "\n") != 1 {
		t.Errorf("not one line: %q", stderr)
	}
}
