package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/settings"
	"github.com/berth-ssh/berth/sshserver"
)

// Import reads a configuration file of ContainerSSH, of 0.3 to 0.5, and returns
// one that does the same. What has no counterpart is in lost, in the order of
// the file; the rest is complete without it. The error means that nothing could
// be made of the file.
func Import(path string) (c *Config, lost Problems, err error) {
	text, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	s, tree, err := parse(path, text)
	if err != nil {
		return nil, nil, err
	}
	var t theirFile
	if err := settings.Decode(tree, &t, false); err != nil {
		return nil, nil, s.problems(err)
	}
	i := importer{tree: tree, theirs: t}
	if err := i.convert(); err != nil {
		return nil, nil, s.problems(err)
	}
	for _, p := range settings.Unknown(tree, reflect.TypeFor[theirFile]()) {
		i.leaves(p, at(tree, p))
	}
	complete := i.ours.WithDefaults()
	if err := complete.Validate(); err != nil {
		return nil, nil, s.problems(err)
	}
	return &i.ours, s.problems(i.lost.Err()), nil
}

// importer makes a configuration of a file of ContainerSSH.
type importer struct {
	tree   any
	theirs theirFile
	ours   Config
	lost   settings.Errors
}

func (i *importer) convert() error {
	if err := i.backend(); err != nil {
		return err
	}
	i.ssh()
	i.forwarding()
	i.log()
	if m := i.theirs.Metrics; m.Enable {
		i.ours.Metrics.Listen = cmp.Or(m.Listen, theirMetricsListen)
		if m.Path != "" && m.Path != "/metrics" {
			i.lost.Add("metrics.path", "is /metrics here")
		}
	}
	i.ours.Docker.Execution.ForceCommand = i.theirs.Security.ForceCommand
	i.ours.SSH.MaxChannels = i.theirs.Security.MaxSessions
	return nil
}

// backend takes over the containers.
func (i *importer) backend() error {
	name := i.theirs.Backend
	if _, there := at(i.tree, settings.Path{"dockerrun"}).(map[string]any); name == "" && there && at(i.tree, settings.Path{"docker"}) == nil {
		name = "dockerrun" // the default of 0.3
	}
	unused := "docker"
	switch cmp.Or(name, "docker") {
	case "docker":
		unused = "dockerrun"
		d := i.theirs.Docker
		i.image(&d.Execution.Launch)
		if !d.Execution.DisableAgent {
			// As before; inject does more, if it is wanted.
			d.Execution.Agent = docker.AgentImage
		}
		i.ours.Docker = d
	case "dockerrun":
		d := i.theirs.DockerRun
		i.image(&d.Config.LaunchConfig)
		i.ours.Docker = d.Convert()
		if d.Config.DisableCommand {
			i.lost.Add("dockerrun.config.disableCommand", "has no counterpart: commands would not be refused; docker.execution.forceCommand can run another program in their place")
		}
	default:
		var errs settings.Errors
		errs.Add("backend", "%q has no counterpart: Berth makes containers on a Docker Engine or Podman", name)
		return errs
	}
	if section, ok := at(i.tree, settings.Path{unused}).(map[string]any); ok && !empty(section) {
		i.lost.Add(unused, "is not in use: the backend is %s", cmp.Or(name, "docker"))
	}
	return nil
}

// image gives a container its image.
func (i *importer) image(l *docker.LaunchConfig) {
	if l.ContainerConfig == nil {
		l.ContainerConfig = &container.Config{}
	}
	l.ContainerConfig.Image = cmp.Or(l.ContainerConfig.Image, theirImage)
}

// ssh takes over the SSH server.
func (i *importer) ssh() {
	t, o := &i.theirs.SSH, &i.ours.SSH
	o.Listen = t.Listen
	if i.theirs.Listen != "" && (o.Listen == "" || o.Listen == theirListen) {
		o.Listen = i.theirs.Listen
	}
	o.Listen = cmp.Or(o.Listen, theirListen)
	o.Banner = t.Banner
	if t.ServerVersion != "" && t.ServerVersion != theirServerVersion {
		if strings.Contains(t.ServerVersion, " ") {
			i.lost.Add("ssh.serverVersion", "has a comment, which has no counterpart; it is left out")
		} else {
			o.ServerVersion = t.ServerVersion
		}
	}
	for n, key := range t.HostKeys {
		if strings.Contains(key, "-----BEGIN") {
			i.lost.Add("ssh.hostkeys."+index(n), "is a key itself, which has no counterpart; put it into a file that only the server can read, and name that in ssh.hostKeys")
		} else {
			o.HostKeys = append(o.HostKeys, key)
		}
	}
	o.Algorithms.Ciphers = i.algorithms("ssh.ciphers", t.Ciphers, theirCiphers, func(a []string) sshserver.Algorithms {
		return sshserver.Algorithms{Ciphers: a}
	})
	o.Algorithms.KeyExchanges = i.algorithms("ssh.kex", t.Kex, theirKex, func(a []string) sshserver.Algorithms {
		return sshserver.Algorithms{KeyExchanges: a}
	})
	o.Algorithms.MACs = i.algorithms("ssh.macs", t.MACs, theirMACs, func(a []string) sshserver.Algorithms {
		return sshserver.Algorithms{MACs: a}
	})
	o.KeepAlive = KeepAlive{Interval: t.ClientAliveInterval, CountMax: t.ClientAliveCountMax}
	if o.KeepAlive.Interval == 0 {
		o.KeepAlive.CountMax = 0 // belongs to what was off
	}
}

// algorithms takes over a list of algorithms, but for those that Berth does not
// have. A list that is the default of ContainerSSH becomes our default.
func (i *importer) algorithms(key string, names, theirDefault []string, form func([]string) sshserver.Algorithms) []string {
	if slices.Equal(names, theirDefault) {
		return nil
	}
	var kept []string
	for n, name := range names {
		if err := form([]string{name}).Validate(); err != nil {
			i.lost.Add(key+"."+index(n), "%q has no counterpart: Berth does not know it", name)
			continue
		}
		kept = append(kept, name)
	}
	return kept
}

// forwarding keeps closed what was closed: in ContainerSSH nothing is forwarded
// unless it is enabled.
func (i *importer) forwarding() {
	t := i.theirs.Security.Forwarding
	i.ours.SSH.Forwarding = Forwarding{
		AllowTCP:         directions(t.ForwardingMode, t.ReverseForwardingMode),
		AllowStreamLocal: directions(t.SocketForwardingMode, t.SocketListenMode),
		DisableAgent:     true, // it has none
		DisableX11:       t.X11ForwardingMode != theirEnable,
	}
	some := slices.Contains([]string{t.ForwardingMode, t.ReverseForwardingMode, t.SocketForwardingMode, t.SocketListenMode, t.X11ForwardingMode}, theirEnable)
	if x := &i.ours.Docker.Execution; some && x.Agent == docker.AgentImage {
		x.Agent = docker.AgentInject // the one that forwards
	}
}

func directions(local, remote string) sshserver.Directions {
	switch l, r := local == theirEnable, remote == theirEnable; {
	case l && r:
		return "yes"
	case l:
		return "local"
	case r:
		return "remote"
	}
	return "no"
}

// log takes over the log. ContainerSSH's levels are those of syslog.
func (i *importer) log() {
	t, o := i.theirs.Log, &i.ours.Log
	switch t.Level {
	case "":
	case "debug", "7":
		o.Level = LogDebug
	case "info", "6", "notice", "5":
		o.Level = LogInfo
	case "warning", "4":
		o.Level = LogWarn
	case "error", "3":
		o.Level = LogError
	case "crit", "2", "alert", "1", "emerg", "0":
		o.Level = LogError
		i.lost.Add("log.level", "has no counterpart; the nearest is error")
	default:
		i.lost.Add("log.level", "%q is no level; the default is taken", t.Level)
	}
	switch t.Format {
	case "ljson":
		o.Format = LogJSON
	case "text":
		o.Format = LogText
	}
	if t.Destination == "file" || t.Destination == "syslog" {
		i.lost.Add("log.destination", "has no counterpart: Berth logs to standard error, which a service manager keeps")
	}
}

// at finds the value at a path, whose keys may be written in any case; nil if
// there is none.
func at(tree any, p settings.Path) any {
	for _, key := range p {
		switch v := tree.(type) {
		case map[string]any:
			inner, ok := v[key]
			for other := range v {
				if !ok && strings.EqualFold(other, key) {
					inner = v[other]
				}
			}
			tree = inner
		case []any:
			var n int
			if _, err := fmt.Sscanf(key, "[%d]", &n); err != nil || n >= len(v) {
				return nil
			}
			tree = v[n]
		default:
			return nil
		}
	}
	return tree
}
