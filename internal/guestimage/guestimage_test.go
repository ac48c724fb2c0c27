package guestimage

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/internal/testpodman"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpodman.Stop()
	engine.CloseIdle()
	os.Exit(code)
}

// The same programs make the same image, byte by byte, and so the same name.
func TestSameBytes(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		one, err := build(assets, arch)
		if err != nil {
			t.Fatalf("%v (run \"make assets\")", err)
		}
		two, err := build(assets, arch)
		if err != nil || one.name != two.name || !bytes.Equal(one.tar, two.tar) {
			t.Errorf("%s: not the same image twice: %s, %s, %v", arch, one.name, two.name, err)
		}
	}
}

// A program that was built by go alone says how to get the image.
func TestNotBuilt(t *testing.T) {
	if _, err := build(fstest.MapFS{}, "amd64"); !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v", err)
	}
	if _, err := Name("s390x"); err == nil || !strings.Contains(err.Error(), "docker.execution.container.image") {
		t.Errorf("error %v", err)
	}
}

// What is in the image: nothing that gives somebody else's rights or that
// anybody may change, but for the temporary directories, and no link into
// nowhere.
func TestContents(t *testing.T) {
	agent, guest := []byte("agent"), []byte("guest")
	layer, err := rootFS(agent, guest)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean("/" + h.Name)
		if entries[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		if parent := path.Dir(name); parent != "/" && entries[parent] == nil {
			t.Errorf("%s comes before its directory", name)
		}
		entries[name] = h
	}
	for name, h := range entries {
		mode := h.FileInfo().Mode()
		sticky := mode.IsDir() && mode&os.ModeSticky != 0
		if mode&(os.ModeSetuid|os.ModeSetgid) != 0 || mode.Type() != os.ModeSymlink && mode&0o002 != 0 && !sticky {
			t.Errorf("%s has mode %v", name, mode)
		}
		if h.Typeflag == tar.TypeSymlink && entries[h.Linkname] == nil {
			t.Errorf("%s is a link to %s, which is not there", name, h.Linkname)
		}
	}
	for _, name := range strings.Fields(agentPath + ` /etc/passwd /tmp /root /home/berth /bin/sh /bin/bash
		/bin/ls /bin/grep /usr/lib/openssh/sftp-server`) {
		if entries[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// counting counts what is loaded.
type counting struct {
	*engine.Client
	loads int
}

func (c *counting) LoadImage(ctx context.Context, tar io.Reader) error {
	c.loads++
	return c.Client.LoadImage(ctx, tar)
}

// Engines load the image, once, and run what is in it.
func TestEnsure(t *testing.T) {
	for name, host := range map[string]func() string{
		"docker": testguest.EngineHost,
		"podman": func() string { return testpodman.Host(t) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "podman" {
				testpodman.Host(t) // skips this part only
			}
			e, err := engine.Open(engine.Settings{Host: host()})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			c := &counting{Client: e}
			image, err := Ensure(ctx, c, runtime.GOARCH)
			if err != nil {
				t.Fatal(err)
			}
			before := c.loads
			again, err := Ensure(ctx, c, runtime.GOARCH)
			if err != nil || again != image || c.loads > before || before > 1 {
				t.Errorf("second time: %s, %v; loaded %d times", again, err, c.loads)
			}
			const script = `stat -c '%a %n' /tmp /root; grep -c . /etc/passwd; ls / | head -n 2; ` +
				`whoami; pwd; echo $PATH; /usr/bin/containerssh-agent console -- sh -c 'exit 7'; echo $?`
			const want = "1777 /tmp\n700 /root\n3\nbin\ndev\nroot\n/root\n" +
				"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n7\n"
			if got := output(ctx, t, e, image, script); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// output runs a script in a container of the image.
func output(ctx context.Context, t *testing.T, e *engine.Client, image, script string) string {
	t.Helper()
	id, err := e.CreateContainer(ctx, engine.ContainerSpec{
		Config: &container.Config{Image: image, Cmd: []string{"/bin/sh", "-c", script},
			AttachStdout: true, Labels: map[string]string{testguest.Label: "1"}},
		Host: &container.HostConfig{},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.RemoveContainer(ctx, id); err != nil {
			t.Error(err)
		}
	}()
	stream, err := e.AttachContainer(ctx, id, false)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := e.StartContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
