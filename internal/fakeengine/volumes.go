package fakeengine

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
)

// volume is guarded by Engine.mu.
type volume struct {
	labels map[string]string
	files  map[string]int64 // sizes, by the paths within it
}

// mountPoint is where a container has a volume.
type mountPoint struct {
	Type, Source, Target string
	VolumeOptions        struct{ Labels map[string]string }

	nameless bool // Source is the engine's
}

func (c *container) binds() map[string]string {
	binds := map[string]string{}
	for _, m := range c.mounts {
		if m.Type == "bind" {
			binds[m.Target] = m.Source
		}
	}
	return binds
}

// makeVolumes makes the volumes that are not there yet, in the order of the mounts,
// up to the source of a bind mount that is not there, which it returns. What it has
// made by then is left, as Docker leaves it when such a source goes while it makes
// the container. Called with e.mu held.
func (e *Engine) makeVolumes(mounts []mountPoint) (missing string) {
	for i := range mounts {
		m := &mounts[i]
		switch m.Type {
		case "bind":
			if _, err := os.Stat(m.Source); e.options.Elsewhere || err != nil {
				return m.Source
			}
		case "volume":
			if m.Source == "" {
				m.Source, m.nameless = e.nextID(), true
			}
			if e.volumes[m.Source] == nil {
				e.volumes[m.Source] = &volume{labels: m.VolumeOptions.Labels, files: map[string]int64{}}
			}
		}
	}
	return ""
}

// dropVolumes removes those of a container's volumes that have no name. Called with
// e.mu held.
func (e *Engine) dropVolumes(c *container) {
	for _, m := range c.mounts {
		if m.nameless {
			delete(e.volumes, m.Source)
		}
	}
}

// within finds the volume that a container has at a path, or above it, and the
// rest of the path. Called with e.mu held.
func (e *Engine) within(c *container, name string) (v *volume, rest string) {
	for _, m := range c.mounts {
		if rest, ok := strings.CutPrefix(path.Clean(name)+"/", path.Clean(m.Target)+"/"); ok {
			return e.volumes[m.Source], path.Clean(rest)
		}
	}
	return nil, ""
}

// putArchive takes files into volumes; a container has no other place for them.
func (e *Engine) putArchive(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	added := map[string]int64{}
	for archive := tar.NewReader(r.Body); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "%v", err)
			return
		}
		added[h.Name] = h.Size
		if h.Typeflag == tar.TypeLink {
			added[h.Name] = added[h.Linkname]
		}
	}
	e.mu.Lock()
	v, directory := e.within(c, r.URL.Query().Get("path"))
	for name, size := range added {
		if v != nil {
			v.files[path.Join(directory, name)] = size
		}
	}
	e.mu.Unlock()
	if v == nil {
		refuse(w, http.StatusNotFound, "Could not find the file %s in container %s", r.URL.Query().Get("path"), c.id)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// statArchive tells of a file in a volume.
func (e *Engine) statArchive(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	if c == nil {
		return
	}
	name := r.URL.Query().Get("path")
	e.mu.Lock()
	v, rest := e.within(c, name)
	var size int64
	ok := false
	if v != nil {
		size, ok = v.files[rest]
	}
	e.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "Could not find the file %s in container %s", name, c.id)
		return
	}
	stat, _ := json.Marshal(map[string]any{"name": path.Base(name), "size": size, "mode": 0o755, "mtime": "2024-01-01T00:00:00Z"})
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	w.WriteHeader(http.StatusOK)
}

// listVolumes lists those whose names have a part that is asked for, that carry
// all labels, and that no container has if only "dangling" ones are wanted.
func (e *Engine) listVolumes(w http.ResponseWriter, r *http.Request) {
	var filters struct {
		Name     map[string]bool `json:"name"`
		Label    map[string]bool `json:"label"`
		Dangling map[string]bool `json:"dangling"`
	}
	if text := r.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			refuse(w, http.StatusBadRequest, "%v", err)
			return
		}
	}
	list := []any{}
	e.mu.Lock()
	for name, v := range e.volumes {
		matches := carries(v.labels, filters.Label) && (!filters.Dangling["true"] || e.user(name) == "")
		for part := range filters.Name {
			matches = matches && strings.Contains(name, part)
		}
		if matches {
			list = append(list, map[string]any{"Name": name, "Driver": "local", "Labels": v.labels, "CreatedAt": "2024-01-01T00:00:00Z"})
		}
	}
	e.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"Volumes": list, "Warnings": []string{}})
}

// user is a container that has a volume, or "". Called with e.mu held.
func (e *Engine) user(volume string) string {
	for _, c := range e.containers {
		for _, m := range c.mounts {
			if m.Source == volume {
				return c.id
			}
		}
	}
	return ""
}

// removeVolume removes one that no container has.
func (e *Engine) removeVolume(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	e.mu.Lock()
	_, ok := e.volumes[name]
	used := e.user(name)
	if ok && used == "" {
		delete(e.volumes, name)
	}
	e.mu.Unlock()
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "get %s: no such volume", name)
	case used != "":
		refuse(w, http.StatusConflict, "remove %s: volume is in use - [%s]", name, used)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
