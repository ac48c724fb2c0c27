package fakeengine

import (
	"archive/tar"
	"strings"
	"testing"
)

func TestVolumes(t *testing.T) {
	e := New(t, Options{Images: map[string]Image{"app": {}}})
	create := func(name, volume string) {
		body := `{"Image":"app","HostConfig":{"Mounts":[{"Type":"volume","Source":"` + volume + `","Target":"/data"}]}}`
		if status, text := call(t, e, "POST", "/v1.41/containers/create?name="+name, body); status != 201 {
			t.Fatal(status, text)
		}
	}
	create("one", "shared")
	create("two", "shared")
	create("three", "other")

	var archive strings.Builder
	w := tar.NewWriter(&archive)
	for _, h := range []*tar.Header{
		{Name: "file", Typeflag: tar.TypeReg, Size: 5},
		{Name: "link", Typeflag: tar.TypeLink, Linkname: "file"},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("bytes")[:h.Size])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/containers/one/archive?path=/data", archive.String(), 200},
		{"PUT", "/containers/one/archive?path=/elsewhere", archive.String(), 404},
		{"HEAD", "/containers/two/archive?path=/data/link", "", 200},
		{"HEAD", "/containers/three/archive?path=/data/link", "", 404},
		{"GET", `/volumes?filters={"name":{"har":true}}`, "", 200},
		{"DELETE", "/volumes/other", "", 409},
		{"DELETE", "/containers/three", "", 204},
		{"DELETE", "/volumes/other", "", 204},
		{"DELETE", "/volumes/other", "", 404},
	} {
		status, text := call(t, e, c.method, c.path, c.body)
		if status != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, status, c.status, text)
		}
		if strings.HasPrefix(c.path, "/volumes?") && (!strings.Contains(text, "shared") || strings.Contains(text, "other")) {
			t.Errorf("%s: %s", c.path, text)
		}
	}
}

// A volume without a name goes with its container, if that is asked for; and what
// has been made is left when a bind mount's source is not there.
func TestNamelessVolumes(t *testing.T) {
	e := New(t, Options{Images: map[string]Image{"app": {}}})
	for i, c := range []struct {
		mounts, remove string
		status         int
		left           bool
	}{
		{`{"Type":"volume","Target":"/x"}`, "?v=1", 201, false},
		{`{"Type":"volume","Target":"/x"}`, "", 201, true},
		{`{"Type":"volume","Source":"name","Target":"/x"}`, "?v=1", 201, true},
		{`{"Type":"bind","Source":"/nowhere","Target":"/y"},{"Type":"volume","Target":"/x"}`, "", 400, false},
		{`{"Type":"volume","Target":"/x"},{"Type":"bind","Source":"/nowhere","Target":"/y"}`, "", 400, true},
	} {
		before := e.Volumes()
		status, text := call(t, e, "POST", "/v1.41/containers/create?name=one", `{"Image":"app","HostConfig":{"Mounts":[`+c.mounts+`]}}`)
		if status != c.status {
			t.Errorf("%d: %d, want %d: %s", i, status, c.status, text)
		}
		if status == 201 {
			if status, text := call(t, e, "DELETE", "/v1.41/containers/one"+c.remove, ""); status != 204 {
				t.Errorf("%d: %d: %s", i, status, text)
			}
		}
		if left := e.Volumes() > before; left != c.left {
			t.Errorf("%d: left is %v, want %v", i, left, c.left)
		}
	}
}
