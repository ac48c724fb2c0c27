package docker

import (
	"time"

	"github.com/berth-ssh/berth/internal/settings"
)

const (
	defaultPoolMaxAge     = time.Hour
	defaultPoolRefillRate = 10
)

// PoolConfig keeps containers started, and the agents in them connected, before
// anybody has logged in: who finds one waits for no engine. Each is used once.
// A pool needs agent: inject, and a server that has been opened with Open. What
// is known only at the login (the user, the address, the connection's id) can't
// be on the labels of such a container: the server's log has it, and "berth ps".
// When the configuration changes, those that wait are removed, and others made.
type PoolConfig struct {
	// Min is how many containers wait at least. Default: 0, no pool.
	Min int `json:"min,omitempty" yaml:"min,omitempty"`
	// Max is what the pool may grow to while logins find it empty; without such
	// logins it shrinks again. Default: 4 times min.
	Max int `json:"max,omitempty" yaml:"max,omitempty"`
	// MaxAge is how long a container may wait before another takes its place.
	// Default: 1h.
	MaxAge time.Duration `json:"maxAge,omitempty" yaml:"maxAge,omitempty"`
	// RefillRate bounds how many containers are made in a second. Default: 10.
	RefillRate int `json:"refillRate,omitempty" yaml:"refillRate,omitempty"`
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default.
func (c PoolConfig) WithDefaults() PoolConfig {
	if c.Max == 0 {
		c.Max = 4 * c.Min
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultPoolMaxAge
	}
	if c.RefillRate == 0 {
		c.RefillRate = defaultPoolRefillRate
	}
	return c
}

// Validate refuses what can't be.
func (c PoolConfig) Validate() error {
	var errs settings.Errors
	if c.Min < 0 {
		errs.Add("min", "%d is negative; 0 means no pool", c.Min)
	}
	if c.Max < c.Min {
		errs.Add("max", "%d is less than min, %d", c.Max, c.Min)
	}
	if c.MaxAge < 0 {
		errs.Add("maxAge", "%s is negative; leave it out for the default", c.MaxAge)
	}
	if c.RefillRate < 0 {
		errs.Add("refillRate", "%d is negative; leave it out for the default", c.RefillRate)
	}
	return errs.Err()
}

// checkPool refuses a pool of containers that can't be made ahead of a login.
func (c Config) checkPool() error {
	var errs settings.Errors
	x := c.Execution
	switch {
	case c.Pool.Min == 0:
	case x.Agent != AgentInject:
		errs.Add("min", "needs execution.agent: inject")
	case x.ImagePullPolicy == ImagePullPolicyAlways:
		errs.Add("min", "contradicts execution.imagePullPolicy: Always, which pulls the image at each login")
	case x.Launch.ContainerName != "":
		errs.Add("min", "contradicts execution.containername: only one container can have that name")
	}
	return errs.Err()
}

// MarshalJSON leaves out what is not set.
func (c PoolConfig) MarshalJSON() ([]byte, error) { return settings.MarshalJSON(c) }

// UnmarshalJSON keeps what the text does not name.
func (c *PoolConfig) UnmarshalJSON(data []byte) error { return settings.UnmarshalJSON(data, c) }

// MarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c PoolConfig) MarshalYAML() (any, error) { return settings.Tree(c) }

// UnmarshalYAML works with goccy/go-yaml and gopkg.in/yaml.v3.
func (c *PoolConfig) UnmarshalYAML(unmarshal func(any) error) error {
	return settings.UnmarshalYAML(unmarshal, c)
}
