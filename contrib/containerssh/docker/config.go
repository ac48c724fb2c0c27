package docker

import (
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-ssh/berth/docker"
)

// ExecutionMode says when a container is made.
type ExecutionMode string

// The modes.
const (
	ExecutionModeConnection = ExecutionMode(docker.ExecutionModeConnection)
	ExecutionModeSession    = ExecutionMode(docker.ExecutionModeSession)
)

// Validate refuses a mode that does not exist.
func (m ExecutionMode) Validate() error { return docker.ExecutionMode(m).Validate() }

// ImagePullPolicy says when an image is pulled.
type ImagePullPolicy string

// The policies.
const (
	ImagePullPolicyAlways       = ImagePullPolicy(docker.ImagePullPolicyAlways)
	ImagePullPolicyIfNotPresent = ImagePullPolicy(docker.ImagePullPolicyIfNotPresent)
	ImagePullPolicyNever        = ImagePullPolicy(docker.ImagePullPolicyNever)
)

// Validate refuses a policy that does not exist.
func (p ImagePullPolicy) Validate() error { return docker.ImagePullPolicy(p).Validate() }

// Config is the configuration of the Docker backend.
type Config struct {
	// Connection says how to reach the engine.
	Connection ConnectionConfig `json:"connection,omitempty" yaml:"connection,omitempty"`
	// Execution says which container to make, and how programs run in it.
	Execution ExecutionConfig `json:"execution,omitempty" yaml:"execution,omitempty"`
	// Timeouts bound each step.
	Timeouts TimeoutConfig `json:"timeouts,omitempty" yaml:"timeouts,omitempty"`
}

// ConnectionConfig says how to reach the engine; see there for its keys.
type ConnectionConfig struct {
	Host   string `json:"host,omitempty" yaml:"host"`
	CaCert string `json:"cacert,omitempty" yaml:"cacert"`
	Cert   string `json:"cert,omitempty" yaml:"cert"`
	Key    string `json:"key,omitempty" yaml:"key"`
}

// SetDefaults gives the host its default, if it has none. The others are in the
// tags, for the original's structutils.Defaults.
func (c *ConnectionConfig) SetDefaults() {
	c.Host = docker.ConnectionConfig{Host: c.Host}.WithDefaults().Host
}

// ExecutionConfig says which container to make, and how programs run in it.
type ExecutionConfig struct {
	// Launch is the container itself.
	Launch LaunchConfig `json:",inline" yaml:",inline"`

	Mode         ExecutionMode     `json:"mode,omitempty" yaml:"mode" default:"connection"`
	IdleCommand  []string          `json:"idleCommand,omitempty" yaml:"idleCommand" default:"[\"/usr/bin/containerssh-agent\", \"wait-signal\", \"--signal\", \"INT\", \"--signal\", \"TERM\"]"`
	ShellCommand []string          `json:"shellCommand,omitempty" yaml:"shellCommand" default:"[\"/bin/bash\"]"`
	AgentPath    string            `json:"agentPath,omitempty" yaml:"agentPath" default:"/usr/bin/containerssh-agent"`
	DisableAgent bool              `json:"disableAgent,omitempty" yaml:"disableAgent"`
	Subsystems   map[string]string `json:"subsystems,omitempty" yaml:"subsystems" default:"{\"sftp\":\"/usr/lib/openssh/sftp-server\"}"`

	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty" yaml:"imagePullPolicy" default:"IfNotPresent"`

	// Agent is not one of the original's. Without it programs run as they did
	// there: in the guest agent that the image carries at AgentPath.
	Agent docker.AgentMode `json:"agent,omitempty" yaml:"agent,omitempty"`
}

// LaunchConfig describes the container with the Engine API's own structures.
type LaunchConfig struct {
	ContainerConfig *container.Config         `json:"container,omitempty" yaml:"container" default:"{\"image\":\"containerssh/containerssh-guest-image\"}"`
	HostConfig      *container.HostConfig     `json:"host,omitempty" yaml:"host"`
	NetworkConfig   *network.NetworkingConfig `json:"network,omitempty" yaml:"network"`
	Platform        *specs.Platform           `json:"platform,omitempty" yaml:"platform"`
	ContainerName   string                    `json:"containername,omitempty" yaml:"containername"`
}

// TimeoutConfig bounds the steps of a session.
type TimeoutConfig struct {
	ContainerStart time.Duration `json:"containerStart,omitempty" yaml:"containerStart" default:"60s"`
	ContainerStop  time.Duration `json:"containerStop,omitempty" yaml:"containerStop" default:"60s"`
	CommandStart   time.Duration `json:"commandStart,omitempty" yaml:"commandStart" default:"60s"`
	Signal         time.Duration `json:"signal,omitempty" yaml:"signal" default:"60s"`
	Window         time.Duration `json:"window,omitempty" yaml:"window" default:"60s"`
	HTTP           time.Duration `json:"http,omitempty" yaml:"http" default:"15s"`
}

// DockerRunConfig is the older form of the configuration.
//
// Deprecated: use Config.
type DockerRunConfig struct {
	Host   string                   `json:"host,omitempty" yaml:"host"`
	CaCert string                   `json:"cacert,omitempty" yaml:"cacert"`
	Cert   string                   `json:"cert,omitempty" yaml:"cert"`
	Key    string                   `json:"key,omitempty" yaml:"key"`
	Config DockerRunContainerConfig `json:"config,omitempty" yaml:"config"`
}

// SetDefaults gives the host its default, if it has none.
func (c *DockerRunConfig) SetDefaults() {
	c.Host = docker.ConnectionConfig{Host: c.Host}.WithDefaults().Host
}

// DockerRunContainerConfig says which container to make.
//
// Deprecated: use ExecutionConfig.
type DockerRunContainerConfig struct {
	LaunchConfig   `json:",inline" yaml:",inline"`
	Subsystems     map[string]string `json:"subsystems,omitempty" yaml:"subsystems,omitempty" default:"{\"sftp\":\"/usr/lib/openssh/sftp-server\"}"`
	DisableCommand bool              `json:"disableCommand,omitempty" yaml:"disableCommand,omitempty"`
	Timeout        time.Duration     `json:"timeout,omitempty" yaml:"timeout,omitempty" default:"60s"`
}
