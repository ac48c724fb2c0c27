package docker

import (
	"time"

	"github.com/berth-ssh/berth/internal/settings"
)

const (
	defaultTimeout     = 60 * time.Second
	defaultHTTPTimeout = 15 * time.Second
)

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
	// HTTP bounds each single request to the engine, but for the creation of a
	// container, which containerStart bounds. At most 16 requests that make or
	// start something are under way at one engine; others wait, each connection
	// in its turn, and that counts for the timeout of the step. Default: 15s.
	HTTP time.Duration `json:"http,omitempty" yaml:"http,omitempty"`
}

// WithDefaults returns a copy in which each timeout that was zero has its
// default.
func (c TimeoutConfig) WithDefaults() TimeoutConfig {
	for _, t := range []*time.Duration{&c.ContainerStart, &c.ContainerStop, &c.CommandStart, &c.Signal, &c.Window} {
		if *t == 0 {
			*t = defaultTimeout
		}
	}
	if c.HTTP == 0 {
		c.HTTP = defaultHTTPTimeout
	}
	return c
}

// Validate refuses negative timeouts. Zero means the default.
func (c TimeoutConfig) Validate() error {
	var errs settings.Errors
	for _, t := range []struct {
		key   string
		value time.Duration
	}{
		{"containerStart", c.ContainerStart},
		{"containerStop", c.ContainerStop},
		{"commandStart", c.CommandStart},
		{"signal", c.Signal},
		{"window", c.Window},
		{"http", c.HTTP},
	} {
		checkTimeout(&errs, t.key, t.value)
	}
	return errs.Err()
}

func checkTimeout(errs *settings.Errors, key string, d time.Duration) {
	if d < 0 {
		errs.Add(key, "%s is negative; leave it out for the default", d)
	}
}

// MarshalJSON writes durations as strings, and leaves out what is not set.
func (c TimeoutConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *TimeoutConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c TimeoutConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *TimeoutConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
