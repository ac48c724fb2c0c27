package docker

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

// valid is a configuration with nothing wrong, of the way with most settings.
func valid() Config {
	return Config{Execution: ExecutionConfig{Agent: AgentImage, Launch: LaunchConfig{
		ContainerConfig: &container.Config{Image: "registry.example:5000/team/image:tag"},
		HostConfig:      &container.HostConfig{},
	}}}.WithDefaults()
}

// pair makes a certificate and its key, as PEM texts.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, public, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestValidate(t *testing.T) {
	cert, key := pair(t)
	otherCert, _ := pair(t)
	tls := func(c *Config) { c.Connection.Host = "tcp://engine.example:2376" }

	for name, c := range map[string]struct {
		change func(*Config)
		// want is the beginning of the error; empty for none.
		want string
	}{
		"complete":         {func(*Config) {}, ""},
		"no host":          {func(c *Config) { c.Connection.Host = "" }, "connection.host: is required"},
		"no scheme":        {func(c *Config) { c.Connection.Host = "/var/run/docker.sock" }, "connection.host: "},
		"relative socket":  {func(c *Config) { c.Connection.Host = "unix://docker.sock" }, "connection.host: "},
		"unknown scheme":   {func(c *Config) { c.Connection.Host = "ssh://engine" }, "connection.host: "},
		"nearly a scheme":  {func(c *Config) { c.Connection.Host = "unx:///x" }, `connection.host: scheme "unx" is not known; did you mean "unix"?`},
		"no port":          {func(c *Config) { c.Connection.Host = "tcp://engine" }, "connection.host: "},
		"tcp":              {func(c *Config) { c.Connection.Host = "tcp://[::1]:2375" }, ""},
		"npipe":            {func(c *Config) { c.Connection.Host = "npipe:////./pipe/docker_engine" }, ""},
		"TLS":              {func(c *Config) { tls(c); c.Connection.CaCert, c.Connection.Cert, c.Connection.Key = cert, cert, key }, ""},
		"TLS on a socket":  {func(c *Config) { c.Connection.CaCert = cert }, "connection.host: "},
		"cert without key": {func(c *Config) { tls(c); c.Connection.Cert = cert }, "connection.key: is missing"},
		"key without cert": {func(c *Config) { tls(c); c.Connection.Key = key }, "connection.cert: is missing"},
		"file as CA":       {func(c *Config) { tls(c); c.Connection.CaCert = "/etc/ca.pem" }, "connection.cacert: "},
		"not a pair":       {func(c *Config) { tls(c); c.Connection.Cert, c.Connection.Key = otherCert, key }, "connection.cert: "},
		"no container":     {func(c *Config) { c.Execution.Launch.ContainerConfig = nil }, "execution.container: is required"},
		"no image":         {func(c *Config) { c.Execution.Launch.ContainerConfig.Image = "" }, "execution.container.image: is required"},
		"not an image":     {func(c *Config) { c.Execution.Launch.ContainerConfig.Image = "De bian" }, "execution.container.image: "},
		"image by digest":  {func(c *Config) { c.Execution.Launch.ContainerConfig.Image = strings.Repeat("ab", 32) }, ""},
		"container name":   {func(c *Config) { c.Execution.Launch.ContainerName = "-x" }, "execution.containername: "},
		"fine name":        {func(c *Config) { c.Execution.Launch.ContainerName = "/lab_1.a-b" }, ""},
		"mode":             {func(c *Config) { c.Execution.Mode = "sesion" }, `execution.mode: "sesion" is not known; did you mean "session"?`},
		"no mode":          {func(c *Config) { c.Execution.Mode = "" }, "execution.mode: "},
		"policy":           {func(c *Config) { c.Execution.ImagePullPolicy = "always" }, `execution.imagePullPolicy: "always" is not known; did you mean "Always"?`},
		"agent":            {func(c *Config) { c.Execution.Agent = "magic" }, "execution.agent: "},
		"inject needs none": {func(c *Config) {
			c.Execution.Agent = AgentInject
			c.Execution.IdleCommand, c.Execution.ShellCommand = nil, nil
			c.Execution.Subsystems = map[string]string{"sftp": "internal-sftp"}
		}, ""},
		"inject, blank shell": {func(c *Config) {
			c.Execution.Agent, c.Execution.ShellCommand = AgentInject, []string{""}
		}, "execution.shellCommand: "},
		"internal-sftp": {func(c *Config) { c.Execution.Subsystems = map[string]string{"sftp": "internal-sftp"} },
			"execution.subsystems.sftp: internal-sftp needs agent: inject"},
		"no idle command": {func(c *Config) { c.Execution.IdleCommand = nil }, "execution.idleCommand: is required"},
		"no shell":        {func(c *Config) { c.Execution.ShellCommand = []string{""} }, "execution.shellCommand: is required"},
		"session needs none": {func(c *Config) {
			c.Execution.Mode = "session"
			c.Execution.IdleCommand, c.Execution.ShellCommand = nil, nil
		}, ""},
		"restart, session": {func(c *Config) {
			c.Execution.Mode = "session"
			c.Execution.Launch.HostConfig.RestartPolicy.Name = "always"
		}, "execution.host.restartpolicy: "},
		"restart no, session": {func(c *Config) {
			c.Execution.Mode = "session"
			c.Execution.Launch.HostConfig.RestartPolicy.Name = "no"
		}, ""},
		"restart, connection":    {func(c *Config) { c.Execution.Launch.HostConfig.RestartPolicy.Name = "always" }, ""},
		"relative agent path":    {func(c *Config) { c.Execution.AgentPath = "agent" }, "execution.agentPath: "},
		"relative but not used":  {func(c *Config) { c.Execution.AgentPath, c.Execution.Agent = "agent", AgentNone }, ""},
		"agent and disableAgent": {func(c *Config) { c.Execution.DisableAgent = true }, "execution.disableAgent: contradicts"},
		"subsystem":              {func(c *Config) { c.Execution.Subsystems = map[string]string{"x.y": ""} }, "execution.subsystems.x.y: "},
		"negative":               {func(c *Config) { c.Timeouts.Window = -time.Second }, "timeouts.window: -1s is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			config := valid()
			c.change(&config)
			err := config.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Error("not refused")
			case c.want != "" && !strings.HasPrefix(err.Error(), c.want):
				t.Errorf("got %q, want it to begin with %q", err, c.want)
			case c.want != "" && strings.Contains(err.Error(), "\n"):
				t.Errorf("more than one error: %v", err)
			}
		})
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	err := Config{Timeouts: TimeoutConfig{HTTP: -1}}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"connection.host", "execution.container", "execution.mode", "execution.agent", "execution.imagePullPolicy", "timeouts.http"} {
		if !strings.Contains(err.Error(), key+": ") {
			t.Errorf("nothing about %s in:\n%v", key, err)
		}
	}
	run := DockerRunConfig{Config: DockerRunContainerConfig{Timeout: -1}}.Validate()
	for _, key := range []string{"host", "config.container", "config.timeout"} {
		if run == nil || !strings.Contains(run.Error(), key+": ") {
			t.Errorf("dockerrun: nothing about %s in:\n%v", key, run)
		}
	}
}

// Secrets stay out of messages, which end in logs.
func TestErrorsDoNotShowKeys(t *testing.T) {
	cert, key := pair(t)
	c := valid()
	c.Connection = ConnectionConfig{Host: "tcp://engine.example:2376", Cert: cert, Key: key[:len(key)/2] + "\nrubbish"}
	err := c.Validate()
	if err == nil || strings.Contains(err.Error(), key[30:50]) {
		t.Errorf("got %v", err)
	}
	c = valid()
	c.Connection.Host = "tcp://user:hunter2@engine.example:2376"
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
