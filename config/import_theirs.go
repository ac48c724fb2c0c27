package config

import (
	"time"

	"github.com/berth-ssh/berth/docker"
)

// What ContainerSSH takes for what a file leaves out.
const (
	theirListen        = "0.0.0.0:2222"
	theirServerVersion = "SSH-2.0-ContainerSSH"
	theirMetricsListen = "0.0.0.0:9100"
	theirImage         = "containerssh/containerssh-guest-image"
)

// theirEnable is the mode of what is allowed.
const theirEnable = "enable"

var (
	theirCiphers = []string{"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"}
	theirKex     = []string{"curve25519-sha256@libssh.org", "ecdh-sha2-nistp521", "ecdh-sha2-nistp384", "ecdh-sha2-nistp256"}
	theirMACs    = []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"}
)

// theirFile is the part of ContainerSSH's configuration files that has
// counterparts.
type theirFile struct {
	Listen   string        `yaml:"listen"` // the older place
	SSH      theirSSH      `yaml:"ssh"`
	Log      theirLog      `yaml:"log"`
	Metrics  theirMetrics  `yaml:"metrics"`
	Security theirSecurity `yaml:"security"`
	Backend  string        `yaml:"backend"`
	Docker   docker.Config `yaml:"docker"`
	//lint:ignore SA1019 to read what is deprecated is the purpose
	DockerRun docker.DockerRunConfig `yaml:"dockerrun"`
}

type theirSSH struct {
	Listen              string        `yaml:"listen"`
	ServerVersion       string        `yaml:"serverVersion"`
	Ciphers             []string      `yaml:"ciphers"`
	Kex                 []string      `yaml:"kex"`
	MACs                []string      `yaml:"macs"`
	Banner              string        `yaml:"banner"`
	HostKeys            []string      `yaml:"hostkeys"`
	ClientAliveInterval time.Duration `yaml:"clientAliveInterval"`
	ClientAliveCountMax int           `yaml:"clientAliveCountMax"`
}

type theirLog struct {
	Level       string `yaml:"level"`
	Format      string `yaml:"format"`
	Destination string `yaml:"destination"`
}

type theirMetrics struct {
	Enable bool   `yaml:"enable"`
	Listen string `yaml:"listen"`
	Path   string `yaml:"path"`
}

type theirSecurity struct {
	ForceCommand string          `yaml:"forceCommand"`
	MaxSessions  int             `yaml:"maxSessions"`
	Forwarding   theirForwarding `yaml:"forwarding"`
}

type theirForwarding struct {
	ReverseForwardingMode string `yaml:"reverseForwardingMode"`
	ForwardingMode        string `yaml:"forwardingMode"`
	SocketForwardingMode  string `yaml:"socketForwardingMode"`
	SocketListenMode      string `yaml:"socketListenMode"`
	X11ForwardingMode     string `yaml:"x11ForwardingMode"`
}
