package docker

import (
	"cmp"
	"encoding/json"

	"github.com/berth-ssh/berth/docker"
)

// translated reads a structure as the one of Berth that has the same keys. What
// engines no longer know is lost on the way, as it would be on theirs.
func translated[T any](from any) (to T, err error) {
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, &to)
	}
	return to, err
}

func (c Config) translated() (docker.Config, error) {
	ours, err := translated[docker.Config](c)
	ours.Execution = asBefore(ours.Execution)
	return ours, err
}

func (c ExecutionConfig) translated() (docker.ExecutionConfig, error) {
	ours, err := translated[docker.ExecutionConfig](c)
	return asBefore(ours), err
}

// asBefore runs programs as the original did, unless it is told otherwise.
func asBefore(c docker.ExecutionConfig) docker.ExecutionConfig {
	if c.Agent == "" && !c.DisableAgent {
		c.Agent = docker.AgentImage
	}
	c.AgentPath = cmp.Or(c.AgentPath, docker.ExecutionConfig{}.WithDefaults().AgentPath)
	return c
}

// Validate checks a complete configuration.
func (c Config) Validate() error { return validate(c.translated()) }

// Validate checks the engine's address and certificates.
func (c ConnectionConfig) Validate() error { return validate(translated[docker.ConnectionConfig](c)) }

// Validate checks the container and the ways to run programs in it.
func (c ExecutionConfig) Validate() error { return validate(c.translated()) }

// Validate checks that there is an image.
func (c LaunchConfig) Validate() error { return validate(translated[docker.LaunchConfig](c)) }

// Validate checks a complete configuration.
func (c DockerRunConfig) Validate() error { return validate(translated[docker.DockerRunConfig](c)) }

// Validate checks that there is an image.
func (c DockerRunContainerConfig) Validate() error {
	return validate(translated[docker.DockerRunContainerConfig](c))
}

func validate(ours interface{ Validate() error }, err error) error {
	if err != nil {
		return err
	}
	return ours.Validate()
}
