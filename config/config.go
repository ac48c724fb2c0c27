package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/settings"
)

// Config is the daemon's configuration. A file may leave out every key: an empty
// file is the default configuration.
type Config struct {
	// SSH is the SSH server: where it listens and how it speaks.
	SSH SSH `json:"ssh,omitempty" yaml:"ssh,omitempty"`
	// Auth says who may log in.
	Auth Auth `json:"auth,omitempty" yaml:"auth,omitempty"`
	// Docker is the backend: the containers that users land in. Without
	// docker.execution.container.image they are made from Berth's own image.
	Docker docker.Config `json:"docker,omitempty" yaml:"docker,omitempty"`
	// Log is what the server writes to standard error.
	Log Log `json:"log,omitempty" yaml:"log,omitempty"`
	// Metrics are what Prometheus may ask for.
	Metrics Metrics `json:"metrics,omitempty" yaml:"metrics,omitempty"`
}

// Metrics are what Prometheus may ask for. They are always at /metrics of the
// socket control.sock in the state directory.
type Metrics struct {
	// Listen is an address, host:port, at which they are served over HTTP to
	// whoever asks. Default: none.
	Listen string `json:"listen,omitempty" yaml:"listen,omitempty"`
}

// Auth says who may log in.
type Auth struct {
	// PublicKey lists the keys that may log in. They are good for every
	// username; the username is only passed on to the container's labels.
	// Where none is listed, only the client key in the state directory may log
	// in, which is made at the first start; without a file also the keys of
	// whoever starts the server.
	PublicKey PublicKey `json:"publicKey,omitempty" yaml:"publicKey,omitempty"`
}

// PublicKey lists the keys that may log in.
type PublicKey struct {
	// Files are files of public keys in the form of OpenSSH's authorized_keys.
	// They are read again when they change. The options "from" and
	// "expiry-time" of a line are honoured; a line with any other option is not
	// used, since it could not be enforced.
	Files []string `json:"files,omitempty" yaml:"files,omitempty"`
	// Keys are public keys themselves, each one line as in such a file.
	Keys []string `json:"keys,omitempty" yaml:"keys,omitempty"`
}

// Log is what the server writes to standard error.
type Log struct {
	// Level is the least important level that is written: "debug", "info",
	// "warn" or "error". Default: info.
	Level LogLevel `json:"level,omitempty" yaml:"level,omitempty"`
	// Format is "text", "json", or "auto": with colours for people on a
	// terminal, text otherwise. Default: auto.
	Format LogFormat `json:"format,omitempty" yaml:"format,omitempty"`
}

// LogLevel is the importance of a log record.
type LogLevel string

// The levels of log records.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Values lists the levels that exist.
func (LogLevel) Values() []string {
	return []string{string(LogDebug), string(LogInfo), string(LogWarn), string(LogError)}
}

// LogFormat is the form of log records.
type LogFormat string

// The forms of log records.
const (
	LogAuto LogFormat = "auto"
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Values lists the forms that exist.
func (LogFormat) Values() []string {
	return []string{string(LogAuto), string(LogText), string(LogJSON)}
}

// Default returns the configuration of an empty file.
func Default() *Config {
	c := Config{}.WithDefaults()
	return &c
}

// WithDefaults returns a copy in which everything that was not set has its
// documented default.
func (c Config) WithDefaults() Config {
	c.SSH = c.SSH.withDefaults()
	c.Docker = c.Docker.WithDefaults()
	if c.Log.Level == "" {
		c.Log.Level = LogInfo
	}
	if c.Log.Format == "" {
		c.Log.Format = LogAuto
	}
	return c
}

// OwnImage tells whether containers are made from Berth's own image, since
// none is configured.
func (c *Config) OwnImage() bool {
	configured := c.Docker.Execution.Launch.ContainerConfig
	return configured == nil || configured.Image == ""
}

// Validate checks a complete configuration as it stands, without a look at the
// files that it names or at the engine. The error tells everything that is
// wrong, each with its key.
func (c *Config) Validate() error {
	var errs settings.Errors
	errs.Under("ssh", c.SSH.validate())

	backend := c.Docker
	if c.OwnImage() {
		var completed container.Config
		if configured := backend.Execution.Launch.ContainerConfig; configured != nil {
			completed = *configured
		}
		completed.Image = "berth"
		backend.Execution.Launch.ContainerConfig = &completed
	}
	errs.Under("docker", backend.Validate())

	if c.Metrics.Listen != "" {
		errs.Under("metrics.listen", CheckListen(c.Metrics.Listen))
	}
	errs.Under("log.level", settings.OneOf(string(c.Log.Level), c.Log.Level.Values()...))
	errs.Under("log.format", settings.OneOf(string(c.Log.Format), c.Log.Format.Values()...))
	return errs.Err()
}

const mask = "********"

// Masked returns a copy to be shown, without secrets.
func (c Config) Masked() Config {
	if c.Docker.Connection.Key != "" {
		c.Docker.Connection.Key = mask
	}
	return c
}

// resolve makes the paths of the configuration absolute: ~/ is the home
// directory, all else is relative to dir.
func (c *Config) resolve(dir string) {
	for _, list := range []*[]string{&c.SSH.HostKeys, &c.Auth.PublicKey.Files} {
		for i, path := range *list {
			(*list)[i] = resolve(dir, path)
		}
	}
}

func resolve(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// YAML writes the configuration as a file, keys in the order of the reference.
func (c *Config) YAML() ([]byte, error) {
	text, err := settings.MarshalJSON(c)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}
