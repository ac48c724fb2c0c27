package fakeengine

import (
	"io"
	"net/http"
	"strings"

	"github.com/distribution/reference"
)

// Image is one that the engine has, or gets by a pull.
type Image struct {
	Entrypoint, Cmd, Env []string
	User                 string
}

// Pull is what happens when an image is pulled.
type Pull struct {
	// Status and Message refuse it at once.
	Status  int
	Message string
	// Lines are sent as they are, one by one; they may hold an error.
	Lines []string
	// Image is there after that, if not nil.
	Image *Image
}

// normal gives a reference the form under which it is kept.
func normal(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

func (e *Engine) addImage(ref string, image Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[normal(ref)] = image
}

func (e *Engine) inspectImage(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutSuffix(r.PathValue("name"), "/json")
	e.mu.Lock()
	image, ok := e.images[normal(name)]
	e.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "No such image: %s", name)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"Id": "sha256:" + strings.Repeat("ab", 32), "Architecture": e.options.Architecture, "Os": "linux",
		"Config": map[string]any{"Entrypoint": image.Entrypoint, "Cmd": image.Cmd, "Env": image.Env, "User": image.User},
	})
}

func (e *Engine) pullImage(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	ref, tag := query.Get("fromImage"), query.Get("tag")
	if strings.Contains(tag, ":") {
		ref += "@" + tag
	} else if tag != "" {
		ref += ":" + tag
	}
	for name, pull := range e.options.Pulls {
		if normal(name) != normal(ref) {
			continue
		}
		if pull.Status != 0 {
			refuse(w, pull.Status, "%s", pull.Message)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		for _, line := range pull.Lines {
			if _, err := io.WriteString(w, line+"\r\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
		if pull.Image != nil {
			e.addImage(ref, *pull.Image)
		}
		return
	}
	refuse(w, http.StatusNotFound, "pull access denied for %s, repository does not exist or may require 'docker login': "+
		"denied: requested access to the resource is denied", ref)
}

func (e *Engine) loadImage(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	answer(w, http.StatusOK, map[string]string{"stream": "Loaded image: loaded:latest\n"})
}
