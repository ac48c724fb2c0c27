package docker

import (
	"github.com/berth-ssh/berth/internal/settings"
)

// defaultAgentPath is where images with a guest agent carry it.
const defaultAgentPath = "/usr/bin/containerssh-agent"

// internalSFTP, as the program of a subsystem, is the guest agent's own SFTP
// server.
const internalSFTP = "internal-sftp"

// ExecutionConfig says which container to make, and how programs run in it.
type ExecutionConfig struct {
	// Launch is the container itself.
	Launch LaunchConfig `json:",inline" yaml:",inline"`

	// Mode is "connection" (one container for each SSH connection) or
	// "session" (one for each session). Default: connection.
	Mode ExecutionMode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// Agent says how programs run. "inject" puts Berth's own guest agent into
	// the container, through a volume that is filled once for each engine: any
	// image will do, and users have all of SSH. "image" runs each program with
	// the engine's exec, in the guest agent that the image carries at agentPath;
	// "none" with the engine alone. In these two ways an engine reports a
	// program that was killed by a signal with 128 and the signal's number.
	// Default: inject.
	Agent AgentMode `json:"agent,omitempty" yaml:"agent,omitempty"`
	// IdleCommand keeps the container alive in connection mode, in the place of
	// the image's command and entry point; an entrypoint in container gets it
	// as arguments. Default with agent: inject: none, the agent idles. Otherwise:
	// /usr/bin/containerssh-agent wait-signal --signal INT --signal TERM, which
	// the image must have; any image with a sleep can do ["sleep", "infinity"].
	IdleCommand []string `json:"idleCommand,omitempty" yaml:"idleCommand,omitempty"`
	// ShellCommand is the user's shell; command lines are run by it with -c.
	// Default with agent: inject: the login shell of the container's user.
	// Otherwise: ["/bin/bash"]. In session mode a shell request runs the
	// command that container (or, but for agent: inject, the image) has.
	ShellCommand []string `json:"shellCommand,omitempty" yaml:"shellCommand,omitempty"`
	// User is the user in the container that programs run as, by name or number;
	// %u is the name that the client has logged in with. Needs agent: inject and
	// a container that runs as root, which it then does unless container.user
	// says otherwise. Default: the user that the container runs as.
	User string `json:"user,omitempty" yaml:"user,omitempty"`
	// ForceCommand is a command line that is run in place of whatever the client
	// asks for, which it finds in SSH_ORIGINAL_COMMAND; "internal-sftp" allows
	// SFTP only. Default: none.
	ForceCommand string `json:"forceCommand,omitempty" yaml:"forceCommand,omitempty"`
	// AgentPath is the place of the guest agent in the image. Default:
	// /usr/bin/containerssh-agent.
	AgentPath string `json:"agentPath,omitempty" yaml:"agentPath,omitempty"`
	// DisableAgent is the older way to say agent: none.
	DisableAgent bool `json:"disableAgent,omitempty" yaml:"disableAgent,omitempty"`
	// Subsystems maps the names of subsystems to programs in the image;
	// "internal-sftp" is the injected agent's own SFTP server. Default with
	// agent: inject: {"sftp": "internal-sftp"}. Otherwise:
	// {"sftp": "/usr/lib/openssh/sftp-server"}.
	Subsystems map[string]string `json:"subsystems,omitempty" yaml:"subsystems,omitempty"`
	// ImagePullPolicy is "Always" (on every connection), "IfNotPresent" (also
	// for the tag latest), or "Never" (a missing image is an error at once).
	// Default: IfNotPresent.
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty" yaml:"imagePullPolicy,omitempty"`

	// disableCommand refuses exec requests; only NewDockerRun sets it.
	disableCommand bool
}

// ExecutionMode says when a container is made.
type ExecutionMode string

const (
	// ExecutionModeConnection makes one container per SSH connection.
	ExecutionModeConnection ExecutionMode = "connection"
	// ExecutionModeSession makes one container per session.
	ExecutionModeSession ExecutionMode = "session"
)

// Validate refuses a mode that does not exist.
func (m ExecutionMode) Validate() error {
	return settings.OneOf(string(m), m.Values()...)
}

// Values lists the modes that exist.
func (ExecutionMode) Values() []string {
	return []string{string(ExecutionModeConnection), string(ExecutionModeSession)}
}

// AgentMode says how programs run in the container.
type AgentMode string

const (
	// AgentInject puts the guest agent that this program carries into the
	// container, where it is the first process and runs all programs.
	AgentInject AgentMode = "inject"
	// AgentImage runs programs through the guest agent found in the image.
	AgentImage AgentMode = "image"
	// AgentNone runs programs with the engine alone: no signals but to a
	// container's own program, no forwarding.
	AgentNone AgentMode = "none"
)

// Validate refuses a way to run programs that does not exist.
func (m AgentMode) Validate() error {
	return settings.OneOf(string(m), m.Values()...)
}

// Values lists the ways that exist.
func (AgentMode) Values() []string {
	return []string{string(AgentInject), string(AgentImage), string(AgentNone)}
}

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

// Validate refuses a policy that does not exist.
func (p ImagePullPolicy) Validate() error {
	return settings.OneOf(string(p), p.Values()...)
}

// Values lists the policies that exist.
func (ImagePullPolicy) Values() []string {
	return []string{string(ImagePullPolicyAlways), string(ImagePullPolicyIfNotPresent), string(ImagePullPolicyNever)}
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default. A command or a map that is empty but not nil was set: to
// none.
func (c ExecutionConfig) WithDefaults() ExecutionConfig {
	if c.Mode == "" {
		c.Mode = ExecutionModeConnection
	}
	if c.Agent == "" {
		c.Agent = AgentInject
		if c.DisableAgent {
			c.Agent = AgentNone
		}
	}
	if c.Agent == AgentInject {
		// Nothing of the image is needed: no idle command means that the
		// agent idles, and no shell command the one of the user's login.
		if c.Subsystems == nil {
			c.Subsystems = map[string]string{"sftp": internalSFTP}
		}
	} else if c.IdleCommand == nil {
		c.IdleCommand = []string{defaultAgentPath, "wait-signal", "--signal", "INT", "--signal", "TERM"}
	}
	if c.ShellCommand == nil && c.Agent != AgentInject {
		c.ShellCommand = []string{"/bin/bash"}
	}
	if c.AgentPath == "" {
		c.AgentPath = defaultAgentPath
	}
	if c.Subsystems == nil {
		c.Subsystems = map[string]string{"sftp": "/usr/lib/openssh/sftp-server"}
	}
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = ImagePullPolicyIfNotPresent
	}
	return c
}

// MarshalJSON leaves out what is not set, and writes the keys of Launch beside
// the others.
func (c ExecutionConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *ExecutionConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c ExecutionConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *ExecutionConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
