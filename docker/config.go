package docker

import (
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Config is the configuration of the Docker backend.
type Config struct {
	// Connection says how to reach the engine.
	Connection ConnectionConfig `json:"connection,omitempty" yaml:"connection,omitempty"`
	// Execution says which container to make, and how programs run in it.
	Execution ExecutionConfig `json:"execution,omitempty" yaml:"execution,omitempty"`
	// Timeouts bound each step.
	Timeouts TimeoutConfig `json:"timeouts,omitempty" yaml:"timeouts,omitempty"`
}

// ConnectionConfig says how to reach the engine.
type ConnectionConfig struct {
	// Host is the engine's address: unix:///path, tcp://host:port, or
	// npipe:////./pipe/name. Default: unix:///var/run/docker.sock, on Windows
	// npipe:////./pipe/docker_engine.
	Host string `json:"host,omitempty" yaml:"host,omitempty"`
	// CaCert is the PEM text of the certificate authority that signed the
	// engine's certificate.
	CaCert string `json:"cacert,omitempty" yaml:"cacert,omitempty"`
	// Cert is the PEM text of the client certificate.
	Cert string `json:"cert,omitempty" yaml:"cert,omitempty"`
	// Key is the PEM text of the client certificate's private key.
	Key string `json:"key,omitempty" yaml:"key,omitempty"`
}

// ExecutionConfig says which container to make, and how programs run in it.
type ExecutionConfig struct {
	// Launch is the container itself.
	Launch LaunchConfig `json:",inline" yaml:",inline"`

	// Mode is "connection" (one container for each SSH connection) or
	// "session" (one for each session). Default: connection.
	Mode ExecutionMode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Agent says how programs run: "image" through the guest agent that the
	// image carries at agentPath, "none" with the engine alone. Default: image.
	Agent AgentMode `json:"agent,omitempty" yaml:"agent,omitempty"`
	// IdleCommand keeps the container alive in connection mode. Default:
	// /usr/bin/containerssh-agent wait-signal --signal INT --signal TERM.
	IdleCommand []string `json:"idleCommand,omitempty" yaml:"idleCommand,omitempty"`
	// ShellCommand is the user's shell; command lines are run by it with -c.
	// Default: ["/bin/bash"].
	ShellCommand []string `json:"shellCommand,omitempty" yaml:"shellCommand,omitempty"`
	// AgentPath is the place of the guest agent in the image. Default:
	// /usr/bin/containerssh-agent.
	AgentPath string `json:"agentPath,omitempty" yaml:"agentPath,omitempty"`
	// DisableAgent is the older way to say agent: none.
	DisableAgent bool `json:"disableAgent,omitempty" yaml:"disableAgent,omitempty"`
	// Subsystems maps the names of subsystems to programs in the image.
	// Default: {"sftp": "/usr/lib/openssh/sftp-server"}.
	Subsystems map[string]string `json:"subsystems,omitempty" yaml:"subsystems,omitempty"`
	// ImagePullPolicy is "Always", "IfNotPresent" or "Never". Default:
	// IfNotPresent.
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty" yaml:"imagePullPolicy,omitempty"`

	// disableCommand refuses exec requests; only NewDockerRun sets it.
	disableCommand bool
}

// LaunchConfig describes the container with the Engine API's own structures.
// Keys that they don't know are ignored.
type LaunchConfig struct {
	// ContainerConfig is the Engine API's container configuration; its image
	// is required.
	ContainerConfig *container.Config `json:"container,omitempty" yaml:"container,omitempty"`
	// HostConfig is the part that depends on the engine's machine: mounts,
	// limits, privileges.
	HostConfig *container.HostConfig `json:"host,omitempty" yaml:"host,omitempty"`
	// NetworkConfig connects the container to networks.
	NetworkConfig *network.NetworkingConfig `json:"network,omitempty" yaml:"network,omitempty"`
	// Platform chooses among the platforms of an image.
	Platform *ocispec.Platform `json:"platform,omitempty" yaml:"platform,omitempty"`
	// ContainerName is the container's name. With a name, only one container
	// can exist at a time.
	ContainerName string `json:"containername,omitempty" yaml:"containername,omitempty"`
}

// TimeoutConfig bounds the steps of a session. In files a duration is a string
// such as "90s", or a number of nanoseconds; a missing one means its default.
type TimeoutConfig struct {
	// ContainerStart bounds getting the image, and creating and starting the
	// container. Default: 60s.
	ContainerStart time.Duration `json:"containerStart,omitempty" yaml:"containerStart,omitempty"`
	// ContainerStop bounds ending and removing the container. Default: 60s.
	ContainerStop time.Duration `json:"containerStop,omitempty" yaml:"containerStop,omitempty"`
	// CommandStart bounds starting a program. Default: 60s.
	CommandStart time.Duration `json:"commandStart,omitempty" yaml:"commandStart,omitempty"`
	// Signal bounds delivering a signal. Default: 60s.
	Signal time.Duration `json:"signal,omitempty" yaml:"signal,omitempty"`
	// Window bounds changing the size of a terminal. Default: 60s.
	Window time.Duration `json:"window,omitempty" yaml:"window,omitempty"`
	// HTTP bounds each single request to the engine. Default: 15s.
	HTTP time.Duration `json:"http,omitempty" yaml:"http,omitempty"`
}

// ExecutionMode says when a container is made.
type ExecutionMode string

const (
	// ExecutionModeConnection makes one container per SSH connection.
	ExecutionModeConnection ExecutionMode = "connection"
	// ExecutionModeSession makes one container per session.
	ExecutionModeSession ExecutionMode = "session"
)

// AgentMode says how programs run in the container.
type AgentMode string

const (
	// AgentImage runs programs through the guest agent found in the image.
	AgentImage AgentMode = "image"
	// AgentNone runs programs with the engine alone: no signals but to a
	// container's own program, no forwarding.
	AgentNone AgentMode = "none"
)

// ImagePullPolicy says when an image is pulled.
type ImagePullPolicy string

const (
	// ImagePullPolicyAlways pulls on every connection.
	ImagePullPolicyAlways ImagePullPolicy = "Always"
	// ImagePullPolicyIfNotPresent pulls when the image is not there.
	ImagePullPolicyIfNotPresent ImagePullPolicy = "IfNotPresent"
	// ImagePullPolicyNever pulls never; a missing image is an error at once.
	ImagePullPolicyNever ImagePullPolicy = "Never"
)
