package docker

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"
)

// sameConfig compares configurations: engine types that hide what they hold are
// compared as values.
var sameConfig = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b network.Port) bool { return a == b }),
	cmpopts.IgnoreUnexported(ExecutionConfig{}),
}

// launch is what the documents of TestWaysToWriteALaunch say.
func launch() LaunchConfig {
	yes, swap, grace := true, int64(7), 5
	return LaunchConfig{
		ContainerConfig: &container.Config{
			Image: "debian:12", User: "1000", Tty: true, WorkingDir: "/srv",
			Env: []string{"A=1", "B=two words"}, Cmd: []string{"/bin/true"}, Entrypoint: []string{"/init", "--"},
			ExposedPorts: network.PortSet{network.MustParsePort("80/tcp"): {}},
			Volumes:      map[string]struct{}{"/data": {}},
			Labels:       map[string]string{"team": "blue", "number": "5", "on": "true"},
			StopTimeout:  &grace,
			Healthcheck:  &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: 30 * time.Second, Retries: 3},
		},
		HostConfig: &container.HostConfig{
			Binds: []string{"/a:/b:ro"}, ReadonlyRootfs: true, Init: &yes,
			DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, DNSSearch: []string{"example.com"},
			RestartPolicy: container.RestartPolicy{Name: "no"},
			PortBindings: network.PortMap{network.MustParsePort("80/tcp"): {{
				HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "8080",
			}}},
			Resources: container.Resources{
				Memory: 1 << 28, NanoCPUs: 5e8, CPUShares: 512, MemorySwappiness: &swap,
				Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 64, Hard: 128}},
			},
			Mounts: []mount.Mount{{Type: "tmpfs", Target: "/run", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1024}}},
		},
		NetworkConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			"lab": {Aliases: []string{"one"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("192.0.2.7")}},
		}},
		Platform:      &ocispec.Platform{OS: "linux", Architecture: "arm64", OSVersion: "1.2"},
		ContainerName: "the-one",
	}
}

func TestWaysToWriteALaunch(t *testing.T) {
	asAPI := `{
		"container": {"Image": "debian:12", "User": "1000", "Tty": true, "WorkingDir": "/srv",
			"Env": ["A=1", "B=two words"], "Cmd": "/bin/true", "Entrypoint": ["/init", "--"],
			"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "StopTimeout": 5,
			"Labels": {"team": "blue", "number": "5", "on": "true"},
			"Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000, "Retries": 3},
			"MacAddress": "a field that engines have dropped"},
		"host": {"Binds": ["/a:/b:ro"], "ReadonlyRootfs": true, "Init": true,
			"Dns": ["192.0.2.53"], "DnsSearch": ["example.com"], "RestartPolicy": {"Name": "no"},
			"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
			"Memory": 268435456, "NanoCpus": 500000000, "CpuShares": 512, "MemorySwappiness": 7,
			"Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 128}],
			"Mounts": [{"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 1024}}],
			"KernelMemory": 5},
		"network": {"EndpointsConfig": {"lab": {"Aliases": ["one"], "IPAMConfig": {"IPv4Address": "192.0.2.7"}}}},
		"platform": {"os": "linux", "architecture": "arm64", "os.version": "1.2"},
		"containername": "the-one"}`
	// As gopkg.in/yaml.v3 would have read and written it.
	asFields := `
container:
  image: debian:12
  user: 1000
  tty: true
  workingdir: /srv
  env: [A=1, B=two words]
  cmd: [/bin/true]
  entrypoint: [/init, --]
  exposedports:
    80/tcp: {}
  volumes:
    /data: {}
  labels:
    team: blue
    number: 5
    on: true
  stoptimeout: 5
  healthcheck:
    test: [CMD, "true"]
    interval: 30s
    retries: 3
  macaddress: a field that engines have dropped
host:
  binds: ["/a:/b:ro"]
  readonlyrootfs: true
  init: true
  dns: [192.0.2.53]
  dnssearch: [example.com]
  restartpolicy:
    name: "no"
  portbindings:
    80/tcp:
      - hostip: 127.0.0.1
        hostport: 8080
  resources:
    memory: 0x10000000
    nanocpus: 500000000
    cpushares: 512
    memoryswappiness: 7
    ulimits:
      - name: nofile
        soft: 64
        hard: 128
    kernelmemory: 5
  mounts:
    - type: tmpfs
      target: /run
      tmpfsoptions: {sizebytes: 1024}
network:
  endpointsconfig:
    lab:
      aliases: [one]
      ipamconfig: {ipv4address: 192.0.2.7}
platform:
  os: linux
  architecture: arm64
  osversion: "1.2"
containername: the-one
`
	for name, decode := range map[string]func(any) error{
		"JSON":                 func(v any) error { return json.Unmarshal([]byte(asAPI), v) },
		"YAML with JSON names": func(v any) error { return yaml.Unmarshal([]byte(asAPI), v) },
		"YAML with Go names":   func(v any) error { return yaml.Unmarshal([]byte(asFields), v) },
	} {
		t.Run(name, func(t *testing.T) {
			var got LaunchConfig
			if err := decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(launch(), got, sameConfig); diff != "" {
				t.Error(diff)
			}
			// The keys of a launch stand beside those of the execution.
			var execution ExecutionConfig
			if err := decode(&execution); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(launch(), execution.Launch, sameConfig); diff != "" {
				t.Error("inlined:", diff)
			}
			var run DockerRunContainerConfig
			if err := decode(&run); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(launch(), run.LaunchConfig, sameConfig); diff != "" {
				t.Error("inlined for dockerrun:", diff)
			}
		})
	}
}

func TestDecodeKeepsWhatIsNotNamed(t *testing.T) {
	c := Config{Connection: ConnectionConfig{Host: "tcp://a:1"}, Timeouts: TimeoutConfig{Signal: time.Second}}
	c.Execution.Launch = launch()
	if err := json.Unmarshal([]byte(`{"execution": {"mode": "session", "container": {"Image": "other"}}, "timeouts": {"http": "2s"}, "unknown": 1}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Connection.Host != "tcp://a:1" || c.Timeouts.Signal != time.Second || c.Timeouts.HTTP != 2*time.Second {
		t.Errorf("got %+v", c)
	}
	if got := c.Execution.Launch.ContainerConfig; got.Image != "other" || got.User != "1000" {
		t.Errorf("got %+v", got)
	}
	if original := launch(); original.ContainerConfig.Image != "debian:12" {
		t.Error("decoding wrote through a pointer")
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"90s"`: 90 * time.Second, `"1h30m"`: 90 * time.Minute, `1500000000`: 1500 * time.Millisecond, `0`: 0, `"0"`: 0, `null`: 0,
	} {
		for name, unmarshal := range map[string]func([]byte, any) error{
			"JSON": json.Unmarshal,
			"YAML": func(b []byte, v any) error { return yaml.Unmarshal(b, v) },
		} {
			var c TimeoutConfig
			if err := unmarshal([]byte(`{"signal": `+text+`}`), &c); err != nil {
				t.Errorf("%s %s: %v", name, text, err)
			}
			if c.Signal != want {
				t.Errorf("%s %s: got %s", name, text, c.Signal)
			}
		}
	}
	for _, text := range []string{`"90"`, `"soon"`, `true`, `1.5`, `[1]`, `1e400`, `99999999999999999999`} {
		var c TimeoutConfig
		err := json.Unmarshal([]byte(`{"signal": `+text+`}`), &c)
		if err == nil || !strings.Contains(err.Error(), "signal: ") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestDecodeTellsAllErrorsWithTheirKeys(t *testing.T) {
	var c Config
	err := json.Unmarshal([]byte(`{
		"connection": {"host": ["a"]},
		"execution": {"container": {"Env": [true, {}], "ExposedPorts": {"x/tcp": {}}}, "host": {"Memory": "much", "Dns": ["nowhere"]}, "idleCommand": "sleep"},
		"timeouts": []}`), &c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{
		"connection.host: ", "execution.container.Env[1]: ", "execution.container.ExposedPorts.x/tcp: ",
		"execution.host.Memory: ", "execution.host.Dns[0]: ", "execution.idleCommand: ", "timeouts: ",
	} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("nothing about %q in:\n%v", key, err)
		}
	}
}

// What is written is read again, in both notations. An empty command or map is
// not a missing one.
func TestRoundTrip(t *testing.T) {
	duration := rapid.Map(rapid.Int64Range(0, 1<<50), func(n int64) time.Duration { return time.Duration(n) })
	text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.SampledFrom([]string{
		"", "true", "null", "0777", "1e3", "~", "- a", "a: b", "#x", "é\n\tü", "'\"", "<<", "2001-12-14", "@x", "%y", "0x1f", "yes", ".inf", " lead", "trail ",
		"-----BEGIN X-----\nabc\n-----END X-----\n",
	}))
	list := rapid.OneOf(rapid.Just[[]string](nil), rapid.SliceOfN(text, 0, 4))
	dictionary := rapid.OneOf(rapid.Just[map[string]string](nil), rapid.MapOfN(text, text, 0, 4))

	rapid.Check(t, func(t *rapid.T) {
		want := Config{
			Connection: ConnectionConfig{Host: text.Draw(t, "host"), CaCert: text.Draw(t, "cacert")},
			Execution: ExecutionConfig{
				Mode:         ExecutionMode(text.Draw(t, "mode")),
				IdleCommand:  list.Draw(t, "idle"),
				ShellCommand: list.Draw(t, "shell"),
				DisableAgent: rapid.Bool().Draw(t, "disableAgent"),
				Subsystems:   dictionary.Draw(t, "subsystems"),
			},
			Timeouts: TimeoutConfig{Signal: duration.Draw(t, "signal"), HTTP: duration.Draw(t, "http")},
		}
		if rapid.Bool().Draw(t, "launch") {
			want.Execution.Launch = launch()
			c := want.Execution.Launch.ContainerConfig
			c.Env, c.Labels, c.Cmd = list.Draw(t, "env"), dictionary.Draw(t, "labels"), list.Draw(t, "cmd")
			want.Execution.Launch.HostConfig.PidsLimit = rapid.Ptr(rapid.Int64(), true).Draw(t, "pids")
		}
		run := DockerRunConfig{Host: want.Connection.Host, Config: DockerRunContainerConfig{
			LaunchConfig: want.Execution.Launch, Timeout: want.Timeouts.Signal, DisableCommand: want.Execution.DisableAgent,
		}}

		asJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var fromJSON Config
		if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
			t.Fatalf("%v\n%s", err, asJSON)
		}
		if diff := cmp.Diff(want, fromJSON, sameConfig); diff != "" {
			t.Fatalf("JSON: %s\n%s", diff, asJSON)
		}
		runJSON, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		var runAgain DockerRunConfig
		if err := json.Unmarshal(runJSON, &runAgain); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(run, runAgain, sameConfig); diff != "" {
			t.Fatalf("dockerrun: %s", diff)
		}
	})
}

func TestYAMLRoundTrip(t *testing.T) {
	want := Config{
		Connection: ConnectionConfig{Host: "unix:///run/x.sock", Key: "-----BEGIN X-----\nabc\n-----END X-----\n"},
		Execution: ExecutionConfig{
			Launch: launch(), Mode: ExecutionModeSession, IdleCommand: []string{}, ShellCommand: []string{"sh", "true", "0777", ""},
			Subsystems: map[string]string{},
		},
		Timeouts: TimeoutConfig{HTTP: 90 * time.Second},
	}
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(want, got, sameConfig); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
	if !strings.Contains(string(text), "http: 1m30s") {
		t.Errorf("durations are not strings:\n%s", text)
	}
}

func TestWithDefaults(t *testing.T) {
	var zero Config
	got := zero.WithDefaults()
	want := Config{
		Connection: ConnectionConfig{Host: defaultHost("linux")},
		Execution: ExecutionConfig{
			Mode: ExecutionModeConnection, Agent: AgentInject,
			AgentPath:       "/usr/bin/containerssh-agent",
			Subsystems:      map[string]string{"sftp": "internal-sftp"},
			ImagePullPolicy: ImagePullPolicyIfNotPresent,
		},
		Timeouts: TimeoutConfig{
			ContainerStart: time.Minute, ContainerStop: time.Minute, CommandStart: time.Minute,
			Signal: time.Minute, Window: time.Minute, HTTP: 15 * time.Second,
		},
		Pool:         PoolConfig{MaxAge: time.Hour, RefillRate: 10},
		ReapInterval: 5 * time.Minute,
	}
	if got.Connection.Host == defaultHost("windows") {
		want.Connection.Host = defaultHost("windows")
	}
	if diff := cmp.Diff(want, got, sameConfig); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Config{}, zero, sameConfig); diff != "" {
		t.Error("the receiver changed:", diff)
	}

	// The seed's own defaults, in the ways that it has.
	for _, agent := range []AgentMode{AgentImage, AgentNone} {
		x := ExecutionConfig{Agent: agent}.WithDefaults()
		want := ExecutionConfig{
			Mode: ExecutionModeConnection, Agent: agent,
			IdleCommand:     []string{"/usr/bin/containerssh-agent", "wait-signal", "--signal", "INT", "--signal", "TERM"},
			ShellCommand:    []string{"/bin/bash"},
			AgentPath:       "/usr/bin/containerssh-agent",
			Subsystems:      map[string]string{"sftp": "/usr/lib/openssh/sftp-server"},
			ImagePullPolicy: ImagePullPolicyIfNotPresent,
		}
		if diff := cmp.Diff(want, x, sameConfig); diff != "" {
			t.Errorf("%s: %s", agent, diff)
		}
	}

	disabled := ExecutionConfig{DisableAgent: true, IdleCommand: []string{}, Subsystems: map[string]string{}}.WithDefaults()
	if disabled.Agent != AgentNone {
		t.Errorf("disableAgent: agent is %q", disabled.Agent)
	}
	if len(disabled.IdleCommand) != 0 || len(disabled.Subsystems) != 0 {
		t.Error("what was set to nothing got a default")
	}
}

func TestDockerRunConvert(t *testing.T) {
	c := DockerRunConfig{Host: "tcp://engine:2375", CaCert: "a", Cert: "b", Key: "c", Config: DockerRunContainerConfig{
		LaunchConfig: launch(), DisableCommand: true, Timeout: 5 * time.Second,
		Subsystems: map[string]string{"x": "/x"},
	}}
	got := c.Convert().WithDefaults()
	x := got.Execution
	if x.Mode != ExecutionModeSession || x.Agent != AgentNone || !x.DisableAgent || x.ImagePullPolicy != ImagePullPolicyAlways {
		t.Errorf("got %+v", x)
	}
	if len(x.ShellCommand) != 0 || len(x.IdleCommand) != 0 {
		t.Errorf("shell %q, idle %q; want none", x.ShellCommand, x.IdleCommand)
	}
	if !x.disableCommand {
		t.Error("disableCommand is lost")
	}
	for _, d := range []time.Duration{got.Timeouts.ContainerStart, got.Timeouts.ContainerStop, got.Timeouts.CommandStart, got.Timeouts.Signal, got.Timeouts.Window, got.Timeouts.HTTP} {
		if d != 5*time.Second {
			t.Errorf("timeouts: %+v", got.Timeouts)
			break
		}
	}
	if got.Connection != (ConnectionConfig{Host: "tcp://engine:2375", CaCert: "a", Cert: "b", Key: "c"}) {
		t.Errorf("connection: %+v", got.Connection)
	}
	if d := (DockerRunConfig{}).WithDefaults(); d.Config.Timeout != time.Minute || d.Host == "" || d.Config.Subsystems["sftp"] == "" {
		t.Errorf("defaults: %+v", d)
	}
	minimal := DockerRunConfig{Config: DockerRunContainerConfig{LaunchConfig: LaunchConfig{ContainerConfig: &container.Config{Image: "busybox"}}}}
	if err := minimal.WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	if all := minimal.Convert().WithDefaults().Timeouts; all.HTTP != time.Minute || all.Signal != time.Minute {
		t.Errorf("the default of all timeouts is 60s, got %+v", all)
	}
}
