package docker_test

import (
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	original "github.com/containerssh/docker/v2"
	"github.com/containerssh/structutils"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/contrib/containerssh/docker"
	berth "github.com/berth-ssh/berth/docker"
)

// structures are the original's configuration structures with ours.
var structures = []struct{ original, dropIn, berth any }{
	{original.Config{}, docker.Config{}, berth.Config{}},
	{original.ConnectionConfig{}, docker.ConnectionConfig{}, berth.ConnectionConfig{}},
	{original.DockerRunConfig{}, docker.DockerRunConfig{}, berth.DockerRunConfig{}},
	{original.DockerRunContainerConfig{}, docker.DockerRunContainerConfig{}, berth.DockerRunContainerConfig{}},
	{original.ExecutionConfig{}, docker.ExecutionConfig{}, berth.ExecutionConfig{}},
	{original.LaunchConfig{}, docker.LaunchConfig{}, berth.LaunchConfig{}},
	{original.TimeoutConfig{}, docker.TimeoutConfig{}, berth.TimeoutConfig{}},
}

// Every configuration structure of the original has its keys in ours, in JSON
// and in YAML, for fields of the same name and type. Ours may have more.
func TestKeys(t *testing.T) {
	var names []string
	scope := loaded(t)[originalPath].Types.Scope()
	for _, name := range scope.Names() {
		if o, ok := scope.Lookup(name).(*types.TypeName); ok && o.Exported() {
			if _, ok := o.Type().Underlying().(*types.Struct); ok {
				names = append(names, name)
			}
		}
	}
	var compared []string
	for _, s := range structures {
		theirs := reflect.TypeOf(s.original)
		compared = append(compared, theirs.Name())
		for _, ours := range []reflect.Type{reflect.TypeOf(s.dropIn), reflect.TypeOf(s.berth)} {
			if ours.Name() != theirs.Name() {
				t.Errorf("%s is compared with %s", theirs, ours)
			}
			got := keys(ours)
			for key, want := range keys(theirs) {
				if got[key] != want {
					t.Errorf("%s: key %q is %q, in the original %q", ours, key, got[key], want)
				}
			}
		}
	}
	if !slices.Equal(compared, names) {
		t.Errorf("compared %v, but the original has %v", compared, names)
	}
}

// keys describes the fields of a structure by their keys in YAML.
func keys(t reflect.Type) map[string]string {
	result := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		yaml, yamlOptions, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		json, jsonOptions, _ := strings.Cut(f.Tag.Get("json"), ",")
		if strings.Contains(yamlOptions, "inline") != strings.Contains(jsonOptions, "inline") {
			yaml += " inline in one notation only"
		}
		if strings.Contains(yamlOptions, "inline") {
			yaml = "inline " + f.Name
		}
		// The names of packages, of which there are several, are left out.
		kind := f.Type.String()
		if at := strings.LastIndexByte(kind, '.'); at >= 0 && !strings.HasPrefix(kind, "map") {
			kind = kind[at+1:]
		}
		result[yaml] = f.Name + " " + kind + " json:" + json
	}
	return result
}

// What is not set has the default of the original.
func TestDefaults(t *testing.T) {
	var theirs original.Config
	structutils.Defaults(&theirs)
	var dropIn docker.Config
	structutils.Defaults(&dropIn)
	if diff := cmp.Diff(tree(t, theirs), tree(t, dropIn)); diff != "" {
		t.Errorf("the drop-in differs from the original (-):\n%s", diff)
	}
	// Berth has an image of its own, and an agent of its own, for which nothing
	// of the image is needed. With the original's image and agent:
	var ours berth.Config
	ours.Execution.Launch.ContainerConfig = &container.Config{Image: theirs.Execution.Launch.ContainerConfig.Image}
	ours.Execution.Agent = berth.AgentImage
	ours = ours.WithDefaults()
	if diff := cmp.Diff(tree(t, theirs), restricted(tree(t, ours), reflect.TypeFor[original.Config]())); diff != "" {
		t.Errorf("Berth differs from the original (-):\n%s", diff)
	}

	var theirRun original.DockerRunConfig
	structutils.Defaults(&theirRun)
	var dropInRun docker.DockerRunConfig
	structutils.Defaults(&dropInRun)
	if diff := cmp.Diff(tree(t, theirRun), tree(t, dropInRun)); diff != "" {
		t.Errorf("the drop-in's dockerrun differs from the original (-):\n%s", diff)
	}
	var ourRun berth.DockerRunConfig
	ourRun.Config.ContainerConfig = &container.Config{Image: theirRun.Config.ContainerConfig.Image}
	if diff := cmp.Diff(tree(t, theirRun), tree(t, ourRun.WithDefaults())); diff != "" {
		t.Errorf("Berth's dockerrun differs from the original (-):\n%s", diff)
	}
}

// restricted leaves out the keys that a structure of the original does not have.
func restricted(tree map[string]any, t reflect.Type) map[string]any {
	result := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner, section := tree[key].(map[string]any)
		switch {
		case strings.Contains(options, "inline"):
			maps.Copy(result, restricted(tree, f.Type))
		case section && f.Type.Kind() == reflect.Struct:
			result[key] = restricted(inner, f.Type)
		case tree[key] != nil:
			result[key] = tree[key]
		}
	}
	return result
}
