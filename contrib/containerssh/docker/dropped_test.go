package docker_test

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	original "github.com/containerssh/docker/v2"

	berth "github.com/berth-ssh/berth/docker"
)

// dropped are the keys that the engine's structures had in the original and have
// no more: current engines take no notice of them, and so do we.
var dropped = []string{"container.MacAddress", "host.KernelMemory", "host.KernelMemoryTCP"}

func TestDropped(t *testing.T) {
	theirs, ours := map[string]bool{}, map[string]bool{}
	names(theirs, "", reflect.TypeFor[original.LaunchConfig](), 0)
	names(ours, "", reflect.TypeFor[berth.LaunchConfig](), 0)
	for name := range ours {
		delete(theirs, name)
	}
	if got := slices.Sorted(maps.Keys(theirs)); !slices.Equal(got, dropped) {
		t.Errorf("dropped are %q, want %q", got, dropped)
	}
}

// names collects the paths of a structure's keys in JSON.
func names(into map[string]bool, path string, t reflect.Type, depth int) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		names(into, path, t.Elem(), depth)
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || depth > 8 {
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case !f.IsExported() || name == "-":
			case f.Anonymous && name == "":
				names(into, path, f.Type, depth+1)
			default:
				if name == "" {
					name = f.Name
				}
				into[path+name] = true
				names(into, path+name+".", f.Type, depth+1)
			}
		}
	}
}
