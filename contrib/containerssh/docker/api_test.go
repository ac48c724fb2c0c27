package docker_test

import (
	"bytes"
	"fmt"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

const (
	originalPath = "github.com/containerssh/docker/v2"
	dropInPath   = "github.com/berth-ssh/berth/contrib/containerssh/docker"
	berthPath    = "github.com/berth-ssh/berth/docker"
)

// load loads the original, the drop-in and Berth's own package together, so that
// they share what they import. overlay replaces files by their paths.
func load(overlay map[string][]byte) (map[string]*packages.Package, error) {
	list, err := packages.Load(&packages.Config{Mode: packages.LoadTypes, Overlay: overlay}, originalPath, dropInPath, berthPath)
	if err != nil {
		return nil, err
	}
	byPath := map[string]*packages.Package{}
	for _, p := range list {
		for _, err := range p.Errors {
			return nil, err
		}
		byPath[p.PkgPath] = p
	}
	return byPath, nil
}

// asTheyAre are the packages without changes.
var asTheyAre = sync.OnceValues(func() (map[string]*packages.Package, error) { return load(nil) })

func loaded(t *testing.T) map[string]*packages.Package {
	t.Helper()
	p, err := asTheyAre()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// broken lists what a program would miss that imports one package in the place
// of another.
func broken(from, to *packages.Package) []string {
	var list []string
	for _, c := range apidiff.Changes(from.Types, to.Types).Changes {
		if !c.Compatible {
			list = append(list, c.Message)
		}
	}
	slices.Sort(list)
	return list
}

// The drop-in has every name of the original, with the same type, and every
// constant with the same value.
func TestOneImportLine(t *testing.T) {
	p := loaded(t)
	for _, missed := range broken(p[originalPath], p[dropInPath]) {
		t.Error(missed)
	}
}

// The comparison finds what it is there for: with these changes to the drop-in
// a program would not compile, or mean something else.
func TestOneImportLineFindsChanges(t *testing.T) {
	changes := []struct{ file, old, new, finding string }{
		{"codes.go", "= docker.MExecCreate\n", "= \"DOCKER_EXECUTE\"\n", "MExecCreate: value changed"},
		{"codes.go", "EDockerRun ", "EOlder ", "EDockerRun: removed"},
		{"config.go", "CaCert string `json", "CaCert []string `json", "CaCert: changed from string to []string"},
		{"docker.go", "Metric metrics.SimpleCounter", "Metric metrics.Counter", "New: changed from"},
	}
	overlay := map[string][]byte{}
	for _, c := range changes {
		file, err := filepath.Abs(c.file)
		if err != nil {
			t.Fatal(err)
		}
		text, there := overlay[file]
		if !there {
			if text, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		overlay[file] = bytes.Replace(text, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(overlay[file], text) {
			t.Fatalf("%s has no %q", c.file, c.old)
		}
	}
	p, err := load(overlay)
	if err != nil {
		t.Fatal(err)
	}
	missed := broken(p[originalPath], p[dropInPath])
	for _, c := range changes {
		if !slices.ContainsFunc(missed, func(s string) bool { return strings.Contains(s, c.finding) }) {
			t.Errorf("%q in the place of %q was not found, but %q", c.new, c.old, missed)
		}
	}
}

// Berth's own package has every constant of the original, with its value: log
// filters and configuration files depend on them.
func TestConstants(t *testing.T) {
	p := loaded(t)
	theirs := constants(p[originalPath])
	if len(theirs) < 50 {
		t.Fatalf("only %d constants were found in the original: %v", len(theirs), theirs)
	}
	for _, d := range differences(theirs, constants(p[berthPath])) {
		t.Error(d)
	}
	// The comparison finds what it is there for.
	ours := constants(p[berthPath])
	ours["EExecFailed"] = ours["EFailedExecCreate"]
	delete(ours, "EFailedExecCreate")
	ours["EDockerRun"] = `"DOCKERRUN_OLD"`
	want := []string{
		`EDockerRun is "DOCKERRUN_OLD", in the original "DOCKERRUN_DEPRECATED"`,
		`EFailedExecCreate is missing, in the original "DOCKER_EXEC_CREATE_FAILED"`,
	}
	if got := differences(theirs, ours); !slices.Equal(got, want) {
		t.Errorf("with two changes: %q, want %q", got, want)
	}
}

// constants are the values of a package's exported constants.
func constants(p *packages.Package) map[string]string {
	values := map[string]string{}
	for _, name := range p.Types.Scope().Names() {
		if c, ok := p.Types.Scope().Lookup(name).(*types.Const); ok && c.Exported() {
			values[name] = c.Val().ExactString()
		}
	}
	return values
}

// differences lists the constants that don't have the value of the original.
func differences(theirs, ours map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		value, there := ours[name]
		if !there {
			value = "missing"
		}
		if value != theirs[name] {
			list = append(list, fmt.Sprintf("%s is %s, in the original %s", name, value, theirs[name]))
		}
	}
	return list
}
