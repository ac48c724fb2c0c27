package docker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/settings"
)

// Validate checks a complete configuration and returns everything that is
// wrong with it at once, each with its key, such as
// execution.container.image. It asks no engine. WithDefaults completes a
// configuration.
func (c Config) Validate() error {
	var errs settings.Errors
	errs.Under("connection", c.Connection.Validate())
	errs.Under("execution", c.Execution.Validate())
	errs.Under("timeouts", c.Timeouts.Validate())
	errs.Under("pool", c.Pool.Validate())
	errs.Under("pool", c.checkPool())
	checkTimeout(&errs, "reapInterval", c.ReapInterval)
	return errs.Err()
}

// Validate checks the form of the host and that the certificates can be read.
func (c ConnectionConfig) Validate() error {
	var errs settings.Errors
	c.checkHost(&errs)
	if c.CaCert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CaCert)) {
		errs.Add("cacert", "holds no certificate in PEM form (it takes the text itself, not the name of a file)")
	}
	switch {
	case c.Cert != "" && c.Key == "":
		errs.Add("key", "is missing; cert needs the private key that belongs to it")
	case c.Cert == "" && c.Key != "":
		errs.Add("cert", "is missing; key needs the certificate that belongs to it")
	case c.Cert != "":
		if _, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key)); err != nil {
			errs.Add("cert", "can't be used with key (both take the PEM text itself, not the name of a file): %w", err)
		}
	}
	return errs.Err()
}

func (c ConnectionConfig) checkHost(errs *settings.Errors) {
	if c.Host == "" {
		errs.Add("host", "is required; for example unix:///var/run/docker.sock")
		return
	}
	scheme, rest, found := strings.Cut(c.Host, "://")
	if !found {
		errs.Add("host", "%q has no scheme; write unix:///path, tcp://host:port or npipe:////./pipe/name", c.Host)
		return
	}
	secure := c.CaCert != "" || c.Cert != "" || c.Key != ""
	switch scheme {
	case "unix", "npipe":
		if !strings.HasPrefix(rest, "/") {
			errs.Add("host", "%q has no absolute path after %s://", c.Host, scheme)
		}
		if secure {
			errs.Add("host", "certificates are for tcp:// hosts; %s:// has no TLS", scheme)
		}
	case "tcp":
		u, err := url.Parse(c.Host)
		switch {
		case err != nil:
			errs.Add("host", "%q can't be parsed: %w", c.Host, err)
		case u.Hostname() == "" || u.Port() == "":
			errs.Add("host", "%q needs a host and a port, such as tcp://engine.example:2376", c.Host)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			errs.Add("host", "%q may hold a host, a port and a path only", u.Redacted())
		}
	default:
		errs.Add("host", "scheme %w", settings.OneOf(scheme, "unix", "tcp", "npipe"))
	}
}

// Validate checks the container and the ways to run programs in it.
func (c ExecutionConfig) Validate() error {
	var errs settings.Errors
	errs.Under("", c.Launch.Validate())
	errs.Under("mode", c.Mode.Validate())
	errs.Under("agent", c.Agent.Validate())
	errs.Under("imagePullPolicy", c.ImagePullPolicy.Validate())

	switch c.Mode {
	case ExecutionModeConnection:
		if c.Agent == AgentInject {
			if len(c.IdleCommand) > 0 && !hasProgram(c.IdleCommand) {
				errs.Add("idleCommand", "has no program")
			}
			if len(c.ShellCommand) > 0 && !hasProgram(c.ShellCommand) {
				errs.Add("shellCommand", "has no program")
			}
			break
		}
		if !hasProgram(c.IdleCommand) {
			errs.Add("idleCommand", "is required in connection mode; it keeps the container alive")
		}
		if !hasProgram(c.ShellCommand) {
			errs.Add("shellCommand", "is required in connection mode")
		}
	case ExecutionModeSession:
		if h := c.Launch.HostConfig; h != nil {
			switch h.RestartPolicy.Name {
			case "", container.RestartPolicyDisabled:
			default:
				errs.Add("host.restartpolicy", "%q is refused in session mode, where a container ends with its program; use \"no\" or leave it out", h.RestartPolicy.Name)
			}
		}
	}
	if c.DisableAgent && c.Agent != AgentNone {
		errs.Add("disableAgent", "contradicts agent: %s; keep one of them", c.Agent)
	}
	errs.Under("user", c.checkUser())
	if c.ForceCommand == internalSFTP && c.Subsystems["sftp"] != internalSFTP {
		errs.Add("forceCommand", internalSFTP+" needs agent: inject, and the subsystem sftp to be "+internalSFTP)
	}
	if c.Agent == AgentImage && !path.IsAbs(c.AgentPath) {
		errs.Add("agentPath", "%q must be an absolute path in the image", c.AgentPath)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Subsystems)) {
		switch {
		case name == "":
			errs.Add("subsystems", "has an entry without a name")
		case c.Subsystems[name] == internalSFTP && c.Agent != AgentInject:
			errs = append(errs, &settings.KeyError{
				Path: settings.Path{"subsystems", name},
				Err:  errors.New(internalSFTP + " needs agent: inject"),
			})
		case c.Subsystems[name] == "":
			errs = append(errs, &settings.KeyError{
				Path: settings.Path{"subsystems", name},
				Err:  errors.New("has no program; leave the entry out to refuse the subsystem"),
			})
		}
	}
	return errs.Err()
}

// checkUser checks the template of userOf.
func (c ExecutionConfig) checkUser() error {
	switch rest := strings.NewReplacer("%u", "", "%%", "").Replace(c.User); {
	case c.User == "":
		return nil
	case c.Agent != AgentInject:
		return errors.New("needs agent: inject; otherwise container.user says who programs run as")
	case strings.ContainsRune(rest, '%'):
		return errors.New("knows %u, the login name, and %% only")
	case strings.ContainsAny(c.User, ":/ "):
		return fmt.Errorf("%q is not a user's name or number", c.User)
	}
	return nil
}

func hasProgram(command []string) bool { return len(command) > 0 && command[0] != "" }

// Validate checks that there is a container configuration with an image, and
// the form of names.
func (c LaunchConfig) Validate() error {
	var errs settings.Errors
	switch {
	case c.ContainerConfig == nil:
		errs.Add("container", "is required, with an image in it")
	case c.ContainerConfig.Image == "":
		errs.Add("container.image", "is required; for example debian:12")
	default:
		if _, err := reference.ParseAnyReference(c.ContainerConfig.Image); err != nil {
			errs.Add("container.image", "%q is not the name of an image: %w", c.ContainerConfig.Image, err)
		}
	}
	if c.ContainerName != "" && !validContainerName(c.ContainerName) {
		errs.Add("containername", "%q is not a name: it takes two or more of a-z A-Z 0-9 _ . - and begins with a letter or digit", c.ContainerName)
	}
	return errs.Err()
}

// validContainerName follows the Engine API (POST /containers/create, name):
// /?[a-zA-Z0-9][a-zA-Z0-9_.-]+
func validContainerName(name string) bool {
	name = strings.TrimPrefix(name, "/")
	for i, r := range name {
		alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return len(name) > 1
}
