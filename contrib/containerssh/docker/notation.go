package docker

import "github.com/berth-ssh/berth/internal/settings"

// The structures are read and written as those of Berth are: JSON leaves out
// what is not set, reading keeps what the text does not name, and YAML works
// with goccy/go-yaml and gopkg.in/yaml.v3.

// MarshalJSON leaves out what is not set.
func (c Config) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *Config) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c Config) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c ConnectionConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *ConnectionConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c ConnectionConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *ConnectionConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c ExecutionConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *ExecutionConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c ExecutionConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *ExecutionConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c LaunchConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *LaunchConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c LaunchConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *LaunchConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c TimeoutConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *TimeoutConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c TimeoutConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *TimeoutConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c DockerRunConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *DockerRunConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML leaves out what is not set.
func (c DockerRunConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *DockerRunConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}

// MarshalJSON leaves out what is not set.
func (c DockerRunContainerConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *DockerRunContainerConfig) UnmarshalJSON(data []byte) error {
	return settings.UnmarshalJSON(data, c)
}

// MarshalYAML leaves out what is not set.
func (c DockerRunContainerConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML keeps what the text does not name.
func (c *DockerRunContainerConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
