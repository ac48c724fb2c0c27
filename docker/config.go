package docker

import (
	"runtime"
	"time"

	"github.com/berth-ssh/berth/internal/settings"
)

// Config is the configuration of the Docker backend. Its zero value lacks only
// what has no default: the container's image.
type Config struct {
	// Connection says how to reach the engine.
	Connection ConnectionConfig `json:"connection,omitempty" yaml:"connection,omitempty"`
	// Execution says which container to make, and how programs run in it.
	Execution ExecutionConfig `json:"execution,omitempty" yaml:"execution,omitempty"`
	// Timeouts bound each step.
	Timeouts TimeoutConfig `json:"timeouts,omitempty" yaml:"timeouts,omitempty"`
	// Pool keeps containers ready before anybody has logged in. Their labels can't
	// say whose they become: the log and "berth ps" do. They go when the server
	// ends, and so with a change of the configuration.
	Pool PoolConfig `json:"pool,omitempty" yaml:"pool,omitempty"`
	// ReapInterval is how often a server looks on the engine for containers of
	// its own that nobody has any more, and removes them: an earlier run that was
	// killed may have left some, or an engine that failed. It does so at its
	// start, too, and "berth reap" does it at any time. Default: 5m.
	ReapInterval time.Duration `json:"reapInterval,omitempty" yaml:"reapInterval,omitempty"`
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
	// Cert is the PEM text of the client certificate. It needs a key.
	Cert string `json:"cert,omitempty" yaml:"cert,omitempty"`
	// Key is the PEM text of the client certificate's private key.
	Key string `json:"key,omitempty" yaml:"key,omitempty"`
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default.
func (c Config) WithDefaults() Config {
	c.Connection = c.Connection.WithDefaults()
	c.Execution = c.Execution.WithDefaults()
	c.Timeouts = c.Timeouts.WithDefaults()
	c.Pool = c.Pool.WithDefaults()
	if c.ReapInterval == 0 {
		c.ReapInterval = defaultReapInterval
	}
	return c
}

// WithDefaults returns a copy in which the host has its default if it was not
// set.
func (c ConnectionConfig) WithDefaults() ConnectionConfig {
	if c.Host == "" {
		c.Host = defaultHost(runtime.GOOS)
	}
	return c
}

func defaultHost(goos string) string {
	if goos == "windows" {
		return "npipe:////./pipe/docker_engine"
	}
	return "unix:///var/run/docker.sock"
}

// MarshalJSON leaves out what is not set.
func (c Config) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *Config) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c Config) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c ConnectionConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *ConnectionConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c ConnectionConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *ConnectionConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
