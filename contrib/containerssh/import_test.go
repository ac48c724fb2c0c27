package containerssh_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	originaldocker "github.com/containerssh/docker/v2"
	"github.com/containerssh/log"
	original "github.com/containerssh/sshserver"
	"github.com/containerssh/structutils"
	"gopkg.in/yaml.v3"

	"github.com/berth-ssh/berth/config"
)

// A file in which the original has written down all of its defaults becomes one
// of Berth that sets nothing which would be old-fashioned there, and nothing of
// it is lost.
func TestImportOfDefaults(t *testing.T) {
	for _, backend := range []string{"docker", "dockerrun"} {
		var theirs struct {
			SSH       original.Config                 `yaml:"ssh"`
			Log       log.Config                      `yaml:"log"`
			Backend   string                          `yaml:"backend"`
			Docker    *originaldocker.Config          `yaml:"docker,omitempty"`
			DockerRun *originaldocker.DockerRunConfig `yaml:"dockerrun,omitempty"`
		}
		structutils.Defaults(&theirs.SSH)
		structutils.Defaults(&theirs.Log)
		if theirs.Backend = backend; backend == "docker" {
			theirs.Docker = &originaldocker.Config{}
			structutils.Defaults(theirs.Docker)
		} else {
			theirs.DockerRun = &originaldocker.DockerRunConfig{}
			structutils.Defaults(theirs.DockerRun)
		}
		text, err := yaml.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "containerssh.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, lost, err := config.Import(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(lost) > 0 {
			t.Errorf("%s: lost %v\n%s", backend, lost, text)
		}
		if !reflect.ValueOf(c.SSH.Algorithms).IsZero() || c.SSH.ServerVersion != "" {
			t.Errorf("%s: defaults of the original have become settings: %+v", backend, c.SSH)
		}
		if got, want := c.Docker.Execution.Launch.ContainerConfig.Image, "containerssh/containerssh-guest-image"; got != want {
			t.Errorf("%s: image %q, want %q", backend, got, want)
		}
	}
}
