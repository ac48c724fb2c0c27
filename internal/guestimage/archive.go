package guestimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"time"

	"github.com/berth-ssh/berth/internal/guestcmd"
)

// The places of the programs in the image.
const (
	agentPath = "/usr/bin/containerssh-agent" // where the seed looks for it
	guestPath = "/usr/bin/berth-guest"
)

// files are the image's small files.
var files = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n" +
		"berth:x:1000:1000:berth:/home/berth:/bin/sh\n" +
		"nobody:x:65534:65534:nobody:/:/bin/false\n",
	"/etc/group":  "root:x:0:\ntty:x:5:\nberth:x:1000:\nnogroup:x:65534:\n",
	"/etc/shells": "/bin/sh\n/bin/bash\n",
	"/etc/motd": "This is Berth's built-in image, in a container made for you alone.\n" +
		"It is gone when you leave. \"help\" lists the commands.\n",
	"/etc/profile":    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
	"/etc/os-release": "ID=berth-guest\nNAME=\"Berth guest\"\nPRETTY_NAME=\"Berth's built-in guest image\"\n",
}

// rootFS makes the image's only layer. The order and all times are fixed, so
// that equal programs give an equal image.
func rootFS(agent, guest []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var err error
	add := func(h tar.Header, content []byte) {
		if err != nil {
			return
		}
		h.Name = h.Name[1:]
		h.ModTime = time.Unix(0, 0)
		h.Format = tar.FormatUSTAR
		h.Size = int64(len(content))
		if err = w.WriteHeader(&h); err == nil {
			_, err = w.Write(content)
		}
	}
	for _, d := range []struct {
		name string
		mode int64
		id   int
	}{
		{"/bin/", 0o755, 0}, {"/dev/", 0o755, 0}, {"/etc/", 0o755, 0}, {"/home/", 0o755, 0},
		{"/home/berth/", 0o755, 1000}, {"/proc/", 0o555, 0}, {"/root/", 0o700, 0}, {"/sys/", 0o555, 0},
		{"/tmp/", 0o1777, 0}, {"/usr/", 0o755, 0}, {"/usr/bin/", 0o755, 0}, {"/usr/lib/", 0o755, 0},
		{"/usr/lib/openssh/", 0o755, 0}, {"/var/", 0o755, 0}, {"/var/tmp/", 0o1777, 0},
	} {
		add(tar.Header{Name: d.name, Typeflag: tar.TypeDir, Mode: d.mode, Uid: d.id, Gid: d.id}, nil)
	}
	for _, name := range []string{"/etc/group", "/etc/motd", "/etc/os-release", "/etc/passwd", "/etc/profile", "/etc/shells"} {
		add(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, []byte(files[name]))
	}
	add(tar.Header{Name: agentPath, Typeflag: tar.TypeReg, Mode: 0o755}, agent)
	add(tar.Header{Name: guestPath, Typeflag: tar.TypeReg, Mode: 0o755}, guest)
	for _, link := range append([]string{"/bin/bash", "/bin/sh"}, guestcmd.Paths()...) {
		add(tar.Header{Name: link, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: guestPath}, nil)
	}
	if err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// archive wraps the layer in the form that `docker load` and `podman load`
// take.
func archive(name, arch string, layer []byte) ([]byte, error) {
	sum := sha256.Sum256(layer)
	id := hex.EncodeToString(sum[:])
	config := configJSON(arch, "sha256:"+id)
	configSum := sha256.Sum256(config)
	configName := hex.EncodeToString(configSum[:]) + ".json"
	layerName := path.Join(id, "layer.tar")
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name    string
		content []byte
	}{{configName, config}, {layerName, layer}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644,
			Size: int64(len(f.content)), ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

// configJSON is the image's configuration (OCI image specification, config).
func configJSON(arch, layer string) []byte {
	data, err := json.Marshal(map[string]any{
		"architecture": arch,
		"os":           "linux",
		"created":      "1970-01-01T00:00:00Z",
		"config": map[string]any{
			"Env":        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			"Cmd":        []string{"/bin/sh", "-l"},
			"WorkingDir": "/root",
			"Labels":     map[string]string{"org.opencontainers.image.title": "Berth guest"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer}},
	})
	if err != nil {
		panic(err) // strings only
	}
	return data
}
