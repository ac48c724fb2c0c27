package docker

import (
	"time"

	"github.com/berth-ssh/berth/internal/settings"
)

// DockerRunConfig is the configuration of the "dockerrun" backend of
// ContainerSSH 0.3, which can still be read and used.
//
// Deprecated: use Config.
type DockerRunConfig struct {
	// Host is the engine's address, as in ConnectionConfig.
	Host string `json:"host,omitempty" yaml:"host,omitempty"`
	// CaCert is the PEM text of the certificate authority that signed the
	// engine's certificate.
	CaCert string `json:"cacert,omitempty" yaml:"cacert,omitempty"`
	// Cert is the PEM text of the client certificate. It needs a key.
	Cert string `json:"cert,omitempty" yaml:"cert,omitempty"`
	// Key is the PEM text of the client certificate's private key.
	Key string `json:"key,omitempty" yaml:"key,omitempty"`

	// Config says which container to make.
	Config DockerRunContainerConfig `json:"config,omitempty" yaml:"config,omitempty"`
}

// DockerRunContainerConfig says which container to make.
//
// Deprecated: use ExecutionConfig.
type DockerRunContainerConfig struct {
	// LaunchConfig is the container itself.
	LaunchConfig `json:",inline" yaml:",inline"`

	// Subsystems maps the names of subsystems to programs in the image.
	// Default: {"sftp": "/usr/lib/openssh/sftp-server"}.
	Subsystems map[string]string `json:"subsystems,omitempty" yaml:"subsystems,omitempty"`
	// DisableCommand refuses requests to run a command line.
	DisableCommand bool `json:"disableCommand,omitempty" yaml:"disableCommand,omitempty"`
	// Timeout bounds each step. Default: 60s.
	Timeout time.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default.
func (c DockerRunConfig) WithDefaults() DockerRunConfig {
	c.Host = c.connection().WithDefaults().Host
	c.Config = c.Config.WithDefaults()
	return c
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default.
func (c DockerRunContainerConfig) WithDefaults() DockerRunContainerConfig {
	c.Subsystems = c.execution().WithDefaults().Subsystems
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Validate checks a complete configuration; WithDefaults completes one.
func (c DockerRunConfig) Validate() error {
	var errs settings.Errors
	errs.Under("", c.connection().Validate())
	errs.Under("config", c.Config.Validate())
	return errs.Err()
}

// Validate checks a complete configuration; WithDefaults completes one.
func (c DockerRunContainerConfig) Validate() error {
	var errs settings.Errors
	errs.Under("", c.execution().Validate())
	checkTimeout(&errs, "timeout", c.Timeout)
	return errs.Err()
}

// Convert returns the configuration that does the same: session mode without
// guest agent, shell or idle command, an image pulled for every session, and
// all timeouts alike, of 60s if c has none.
func (c DockerRunConfig) Convert() Config {
	t := c.Config.WithDefaults().Timeout
	return Config{
		Connection: c.connection(),
		Execution:  c.Config.execution(),
		Timeouts:   TimeoutConfig{ContainerStart: t, ContainerStop: t, CommandStart: t, Signal: t, Window: t, HTTP: t},
	}
}

func (c DockerRunConfig) connection() ConnectionConfig {
	return ConnectionConfig{Host: c.Host, CaCert: c.CaCert, Cert: c.Cert, Key: c.Key}
}

func (c DockerRunContainerConfig) execution() ExecutionConfig {
	return ExecutionConfig{
		Launch:          c.LaunchConfig,
		Mode:            ExecutionModeSession,
		Agent:           AgentNone,
		DisableAgent:    true,
		IdleCommand:     []string{},
		ShellCommand:    []string{},
		AgentPath:       defaultAgentPath,
		Subsystems:      c.Subsystems,
		ImagePullPolicy: ImagePullPolicyAlways,
		disableCommand:  c.DisableCommand,
	}
}

// MarshalJSON leaves out what is not set.
func (c DockerRunConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *DockerRunConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c DockerRunConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *DockerRunConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set, and writes the keys of LaunchConfig
// beside the others.
func (c DockerRunContainerConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *DockerRunContainerConfig) UnmarshalJSON(data []byte) error {
	return settings.UnmarshalJSON(data, c)
}

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c DockerRunContainerConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *DockerRunContainerConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
