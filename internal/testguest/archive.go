package testguest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"
)

// runConfig is the part of an image's configuration that says how it runs, with
// the names of the OCI image specification (v1.1, config.md).
type runConfig struct {
	Env        []string          `json:"Env,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// archive is an image in the form that engines load: a tar with manifest.json,
// the configuration, and one tar for each layer.
type archive struct {
	name string
	// layers are the file systems, the lowest first.
	layers []layer
	config runConfig
}

// layer is an uncompressed tar: the file at path, or content if path is empty.
type layer struct {
	path    string
	content []byte
}

func (l layer) open() (r io.ReadCloser, size int64, err error) {
	if l.path == "" {
		return io.NopCloser(bytes.NewReader(l.content)), int64(len(l.content)), nil
	}
	f, err := os.Open(l.path)
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, fi.Size(), nil
}

func (l layer) hash() (string, error) {
	r, _, err := l.open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (a archive) write(w io.Writer) error {
	diffIDs := make([]string, len(a.layers))
	names := make([]string, len(a.layers))
	for i, l := range a.layers {
		sum, err := l.hash()
		if err != nil {
			return err
		}
		diffIDs[i] = "sha256:" + sum
		// The position keeps equal layers apart.
		names[i] = strconv.Itoa(i) + "-" + sum + "/layer.tar"
	}
	a.config.Labels = map[string]string{Label: "1"}
	config, err := json.Marshal(map[string]any{
		// A fixed date: the same content is the same image.
		"created":      time.Unix(0, 0).UTC(),
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       a.config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	configName := hex.EncodeToString(sum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{a.name}, "Layers": names,
	}})
	if err != nil {
		return err
	}

	tw := tar.NewWriter(w)
	if err := addFile(tw, configName, 0o644, config); err != nil {
		return err
	}
	for i, l := range a.layers {
		if err := addLayer(tw, names[i], l); err != nil {
			return err
		}
	}
	if err := addFile(tw, "manifest.json", 0o644, manifest); err != nil {
		return err
	}
	return tw.Close()
}

func addDir(tw *tar.Writer, name string, mode int64) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func addFile(tw *tar.Writer, name string, mode int64, content []byte) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := tw.Write(content)
	return err
}

func addLayer(tw *tar.Writer, name string, l layer) error {
	r, size, err := l.open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return err
}

// makeTar returns a tar with what add puts into it.
func makeTar(add func(tw *tar.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	if err := add(tw); err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
