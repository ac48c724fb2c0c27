package docker

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-ssh/berth/internal/settings"
)

// LaunchConfig describes the container with the Engine API's own structures.
// Keys that they don't know are ignored. Their keys may be written as the API
// has them in JSON, or as the Go fields in lower case.
type LaunchConfig struct {
	// ContainerConfig is the Engine API's container configuration: image, user,
	// environment and so on. An image is required, but for the berth command,
	// which has its own.
	ContainerConfig *container.Config `json:"container,omitempty" yaml:"container,omitempty"`
	// HostConfig is the part that depends on the engine's machine: mounts,
	// limits, privileges. What it leaves out confines the container; with
	// privileged only its limits do. Defaults: memory (bytes): a quarter of the
	// machine's, at least 256 MiB, without swap; -1 is no limit. pidslimit
	// (processes and threads): 1024; -1 is no limit. cpushares: 512, which is half
	// of what other containers have; 1024 is the same. oomscoreadj: 500; 1 is
	// nearly none. securityopt: no-new-privileges, with which sudo and the like
	// give no rights; ["no-new-privileges:false"] lets them. capdrop: MKNOD and
	// NET_RAW besides what is named; capadd with their names, or ALL, keeps them.
	// ipcmode: private. Memory, pidslimit and cpushares have no default where the
	// engine can't limit them. All else is as the engine has it.
	HostConfig *container.HostConfig `json:"host,omitempty" yaml:"host,omitempty"`
	// NetworkConfig connects the container to networks.
	NetworkConfig *network.NetworkingConfig `json:"network,omitempty" yaml:"network,omitempty"`
	// Platform chooses among the platforms of an image.
	Platform *ocispec.Platform `json:"platform,omitempty" yaml:"platform,omitempty"`
	// ContainerName is the container's name. With a name, only one container
	// can exist at a time.
	ContainerName string `json:"containername,omitempty" yaml:"containername,omitempty"`
}

// MarshalJSON leaves out what is not set.
func (c LaunchConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *LaunchConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c LaunchConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *LaunchConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
