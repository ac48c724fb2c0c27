package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/docker"
)

func imported(t *testing.T, text string) (*Config, Problems) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "containerssh.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, lost, err := Import(path)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c, lost
}

func TestImportListen(t *testing.T) {
	for text, want := range map[string]string{
		"{}":           "0.0.0.0:2222",
		"listen: :1":   ":1",
		"ssh: {}":      "0.0.0.0:2222",
		"listen: null": "0.0.0.0:2222",
		"{listen: \":1\", ssh: {listen: \":2\"}}":           ":2",
		"{listen: \":1\", ssh: {listen: \"0.0.0.0:2222\"}}": ":1",
	} {
		if c, lost := imported(t, text); c.SSH.Listen != want || len(lost) > 0 {
			t.Errorf("%s: listens on %s, want %s; lost %v", text, c.SSH.Listen, want, lost)
		}
	}
}

func TestImportLevels(t *testing.T) {
	for level, want := range map[string]LogLevel{
		"debug": LogDebug, "7": LogDebug, "info": LogInfo, "6": LogInfo, "notice": LogInfo, "5": LogInfo,
		"warning": LogWarn, "4": LogWarn, "error": LogError, "3": LogError, "emerg": LogError, "0": LogError, "loud": "",
	} {
		c, lost := imported(t, "log: {level: "+level+"}")
		inexact := level == "emerg" || level == "0" || level == "loud"
		if c.Log.Level != want || (len(lost) > 0) != inexact {
			t.Errorf("%s is %q, want %q; lost %v", level, c.Log.Level, want, lost)
		}
	}
}

// What was closed stays closed; what was open is, with the agent that it needs.
func TestImportForwarding(t *testing.T) {
	closed := Forwarding{AllowTCP: "no", AllowStreamLocal: "no", DisableAgent: true, DisableX11: true}
	with := func(change func(*Forwarding)) Forwarding { f := closed; change(&f); return f }
	for text, want := range map[string]Forwarding{
		"":                                          closed,
		"forwardingMode: disable":                   closed,
		"forwardingMode: filter":                    closed,
		"forwardingMode: enable":                    with(func(f *Forwarding) { f.AllowTCP = "local" }),
		"reverseForwardingMode: enable":             with(func(f *Forwarding) { f.AllowTCP = "remote" }),
		"socketListenMode: enable":                  with(func(f *Forwarding) { f.AllowStreamLocal = "remote" }),
		"x11ForwardingMode: enable":                 with(func(f *Forwarding) { f.DisableX11 = false }),
		"forwardingMode: enable, unknownMode: deny": with(func(f *Forwarding) { f.AllowTCP = "local" }),
		"socketForwardingMode: enable, socketListenMode: enable": with(func(f *Forwarding) { f.AllowStreamLocal = "yes" }),
	} {
		c, lost := imported(t, "security: {forwarding: {"+text+"}}")
		got := c.SSH.Forwarding
		if got.AllowTCP != want.AllowTCP || got.AllowStreamLocal != want.AllowStreamLocal || got.DisableAgent != want.DisableAgent || got.DisableX11 != want.DisableX11 {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
		agent := docker.AgentImage
		if strings.Contains(text, "enable") {
			agent = docker.AgentInject
		}
		if c.Docker.Execution.Agent != agent {
			t.Errorf("%q: agent %s, want %s", text, c.Docker.Execution.Agent, agent)
		}
		if (len(lost) > 0) != strings.Contains(text, "unknownMode") {
			t.Errorf("%q: lost %v", text, lost)
		}
		if err := got.Server().Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestImportBackend(t *testing.T) {
	c, _ := imported(t, "dockerrun: {config: {container: {image: x}}}")
	if c.Docker.Execution.Mode != docker.ExecutionModeSession || c.Docker.Execution.Launch.ContainerConfig.Image != "x" {
		t.Errorf("the only backend in the file is not taken: %+v", c.Docker.Execution)
	}
	if c, _ = imported(t, "docker: {execution: {disableAgent: true, idleCommand: [a], container: {image: x}}}"); c.Docker.Execution.Agent != "" || !c.Docker.Execution.DisableAgent {
		t.Errorf("agent %q, disabled %v", c.Docker.Execution.Agent, c.Docker.Execution.DisableAgent)
	}
}
