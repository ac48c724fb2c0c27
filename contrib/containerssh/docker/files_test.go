package docker_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	original "github.com/containerssh/docker/v2"
	"github.com/containerssh/structutils"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/berth-ssh/berth/contrib/containerssh/docker"
	berth "github.com/berth-ssh/berth/docker"
)

// texts are configurations as users of the original have them. Both packages of
// ours must read in them what the original reads.
var texts = []struct{ name, json, yaml string }{
	{
		name: "nothing",
		json: `{}`,
		yaml: `{}`,
	}, {
		name: "the names of the Engine API",
		json: `{"connection": {"host": "tcp://engine:2376", "cacert": "A", "cert": "B", "key": "C"},
			"execution": {"mode": "session",
				"container": {"Image": "lab:1", "Hostname": "h", "Domainname": "d", "User": "1000:1000",
					"AttachStdin": true, "Tty": true, "OpenStdin": true, "StdinOnce": true,
					"ExposedPorts": {"80/tcp": {}}, "Env": ["A=b", "C=d e"], "Cmd": ["/bin/sh", "-l"],
					"Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000, "Retries": 3},
					"Volumes": {"/data": {}}, "WorkingDir": "/srv", "Entrypoint": ["/init"],
					"NetworkDisabled": true, "OnBuild": ["RUN x"], "Labels": {"a": "b"},
					"StopSignal": "SIGINT", "StopTimeout": 7, "Shell": ["/bin/bash"]},
				"host": {"Binds": ["/a:/b:ro"], "NetworkMode": "none", "AutoRemove": true,
					"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
					"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
					"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
					"VolumesFrom": ["other"], "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"],
					"Dns": ["192.0.2.1"], "DnsOptions": ["ndots:1"], "DnsSearch": ["example.com"],
					"ExtraHosts": ["a:192.0.2.2"], "GroupAdd": ["staff"], "IpcMode": "private",
					"CgroupnsMode": "private", "OomScoreAdj": 5, "PidMode": "host", "Privileged": true,
					"PublishAllPorts": true, "ReadonlyRootfs": true, "SecurityOpt": ["no-new-privileges"],
					"StorageOpt": {"size": "1G"}, "Tmpfs": {"/run": "size=1m"}, "UTSMode": "host",
					"UsernsMode": "host", "ShmSize": 1048576, "Sysctls": {"net.ipv4.ip_forward": "1"},
					"Runtime": "runc", "Init": true, "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
					"CpuShares": 512, "Memory": 268435456, "NanoCpus": 500000000, "CgroupParent": "c",
					"BlkioWeight": 10, "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 5}],
					"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 6}],
					"CpuPeriod": 1, "CpuQuota": 2, "CpuRealtimePeriod": 3, "CpuRealtimeRuntime": 4,
					"CpusetCpus": "0-1", "CpusetMems": "0",
					"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}],
					"DeviceCgroupRules": ["c 1:3 rwm"],
					"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}],
					"MemoryReservation": 1, "MemorySwap": -1, "MemorySwappiness": 9, "OomKillDisable": true,
					"PidsLimit": 100, "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}],
					"Mounts": [{"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true,
						"BindOptions": {"Propagation": "rprivate"}},
						{"Type": "tmpfs", "Target": "/u", "TmpfsOptions": {"SizeBytes": 3, "Mode": 448}}]},
				"network": {"EndpointsConfig": {"lab": {"Aliases": ["x"], "Links": ["y"], "NetworkID": "n",
					"IPAMConfig": {"IPv4Address": "192.0.2.3", "LinkLocalIPs": ["169.254.0.1"]},
					"DriverOpts": {"o": "p"}}}},
				"platform": {"architecture": "arm64", "os": "linux", "os.version": "1", "variant": "v8"},
				"containername": "the-one",
				"idleCommand": ["/bin/sleep", "1d"], "shellCommand": ["/bin/zsh", "-l"],
				"agentPath": "/agent", "disableAgent": true, "subsystems": {"sftp": "/sftp", "x": "/y"},
				"imagePullPolicy": "Never"},
			"timeouts": {"containerStart": "1m30s", "containerStop": 5000000000, "commandStart": "500ms",
				"signal": 1e9, "window": "1h", "http": "0s"}}`,
	}, {
		name: "names in lower case",
		json: `{"execution": {"container": {"image": "lab:1", "workingdir": "/srv", "env": ["A=b"], "stoptimeout": 3,
				"exposedports": {"80/tcp": {}}, "attachstdin": true},
			"host": {"networkmode": "none", "capdrop": ["ALL"], "memory": 5, "dns": ["192.0.2.1"], "nanocpus": 7,
				"restartpolicy": {"name": "always", "maximumretrycount": 2}}}}`,
		yaml: `
execution:
  container:
    image: lab:1
    workingdir: /srv
    env: [A=b]
    stoptimeout: 3
    exposedports: {80/tcp: {}}
    attachstdin: true
    labels: {a: b, number: 5, text: "5"}
    cmd: [/bin/sh, -c, "echo x"]
    healthcheck: {test: [CMD, "true"], interval: 30s, startperiod: 2s}
  host:
    networkmode: none
    capdrop: [ALL]
    dns: [192.0.2.1]
    dnssearch: [example.com]
    extrahosts: ["a:192.0.2.2"]
    portbindings: {80/tcp: [{hostip: 127.0.0.1, hostport: "8080"}]}
    readonlyrootfs: true
    init: true
    restartpolicy: {name: always, maximumretrycount: 2}
    logconfig: {type: json-file, config: {max-size: 1m}}
    mounts: [{type: bind, source: /s, target: /t, readonly: true, bindoptions: {propagation: rprivate}}]
    resources:
      memory: 5
      nanocpus: 7
      cpusetcpus: "0-1"
      pidslimit: 100
      memoryswappiness: 0
      ulimits: [{name: nofile, hard: 2, soft: 1}]
      devices: [{pathonhost: /dev/a, pathincontainer: /dev/b, cgrouppermissions: r}]
  network:
    endpointsconfig: {lab: {aliases: [x], ipamconfig: {ipv4address: 192.0.2.3}}}
  platform: {architecture: arm64, os: linux, osversion: "1", variant: v8}
  containername: the-one
`,
	}, {
		name: "keys that the engine's structures don't have",
		json: `{"execution": {"container": {"Image": "lab:1", "NoSuchKey": {"a": [1]}}, "host": {"NorThis": true},
			"network": {"Else": 1}, "platform": {"more": "x"}, "unknown": 1}, "unknown": {}}`,
		yaml: `
execution:
  container: {image: lab:1, nosuchkey: {a: [1]}}
  host: {northis: true}
  network: {else: 1}
  platform: {more: x}
  unknown: 1
unknown: {}
`,
	}, {
		name: "keys that engines have dropped",
		json: `{"execution": {"container": {"Image": "lab:1"}, "host": {"DiskQuota": 1, "Capabilities": ["x"]}}}`,
		yaml: `execution: {container: {image: lab:1}, host: {resources: {diskquota: 1, memory: 3}}}`,
	}, {
		name: "all that is not of the engine",
		yaml: `
connection: {host: "tcp://engine:2376", cacert: A, cert: B, key: C}
execution:
  mode: session
  idleCommand: [/bin/sleep, 1d]
  shellCommand: [/bin/zsh, -l]
  agentPath: /agent
  disableAgent: true
  subsystems: {sftp: /sftp, x: /y}
  imagePullPolicy: Always
timeouts: {containerStart: 1m30s, containerStop: 5000000000, commandStart: 500ms, signal: 1_000, window: 1h, http: 0s}
`,
	}, {
		name: "empty lists",
		json: `{"execution": {"container": {"Image": "x", "Cmd": [], "Env": null}, "idleCommand": [], "shellCommand": null, "subsystems": {}}}`,
		yaml: `execution: {container: {image: x, cmd: [], env: null}, idleCommand: [], shellCommand: null, subsystems: {}}`,
	}, {
		name: "a list that is a text",
		json: `{"execution": {"container": {"Image": "x", "Cmd": "/bin/sh", "Entrypoint": "/init"}}}`,
	},
}

// runTexts are the same for the older form.
var runTexts = []struct{ name, json, yaml string }{
	{
		name: "nothing",
		json: `{}`,
		yaml: `{}`,
	}, {
		name: "everything",
		json: `{"host": "tcp://engine:2376", "cacert": "A", "cert": "B", "key": "C", "config": {
			"container": {"Image": "lab:1", "Tty": true}, "host": {"NetworkMode": "none", "Memory": 5},
			"network": {"EndpointsConfig": {"lab": {}}}, "platform": {"os": "linux"}, "containername": "the-one",
			"subsystems": {"x": "/y"}, "disableCommand": true, "timeout": "90s", "unknown": 1}}`,
		yaml: `
host: tcp://engine:2376
cacert: A
cert: B
key: C
config:
  container: {image: lab:1, tty: true}
  host: {networkmode: none, resources: {memory: 5}}
  network: {endpointsconfig: {lab: {}}}
  platform: {os: linux}
  containername: the-one
  subsystems: {x: /y}
  disableCommand: true
  timeout: 90s
  unknown: 1
`,
	}, {
		name: "a time in nanoseconds",
		json: `{"config": {"container": {"image": "x"}, "timeout": 90000000000}}`,
		yaml: `config: {container: {image: x}, timeout: 90000000000}`,
	},
}

// notations read and write, as the original's users do.
var notations = map[string]struct {
	read  func([]byte, any) error
	write func(any) ([]byte, error)
}{
	"JSON": {json.Unmarshal, json.Marshal},
	"YAML": {yaml.Unmarshal, yaml.Marshal},
}

// What the original reads in a file, ours read in it.
func TestFiles(t *testing.T) {
	for _, text := range texts {
		for notation, s := range map[string]string{"JSON": text.json, "YAML": text.yaml} {
			if s != "" {
				t.Run(text.name+"/"+notation, func(t *testing.T) {
					same[original.Config, docker.Config, berth.Config](t, notation, s)
				})
			}
		}
	}
	for _, text := range runTexts {
		for notation, s := range map[string]string{"JSON": text.json, "YAML": text.yaml} {
			t.Run("dockerrun, "+text.name+"/"+notation, func(t *testing.T) {
				same[original.DockerRunConfig, docker.DockerRunConfig, berth.DockerRunConfig](t, notation, s)
			})
		}
	}
}

// The files that the original's own tests read.
func TestOriginalFiles(t *testing.T) {
	dir := filepath.Dir(loaded(t)[originalPath].GoFiles[0])
	for notation, name := range map[string]string{"JSON": "config-0.3.json", "YAML": "config-0.3.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		same[original.DockerRunConfig, docker.DockerRunConfig, berth.DockerRunConfig](t, notation, string(text))
	}
}

// same reads a text as the original and as ours do, and compares what they say.
// Then it has each read what the other writes.
func same[Original, DropIn, Berth any](t *testing.T, notation, text string) {
	t.Helper()
	n := notations[notation]
	var theirs Original
	if err := n.read([]byte(text), &theirs); err != nil {
		t.Fatalf("the original can't read this: %v", err)
	}
	want := tree(t, theirs)
	written, err := n.write(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for _, make := range []func() any{func() any { return new(DropIn) }, func() any { return new(Berth) }} {
		for what, text := range map[string][]byte{"the file": []byte(text), "what the original writes": written} {
			ours := make()
			if err := n.read(text, ours); err != nil {
				t.Errorf("%T can't read %s: %v", ours, what, err)
			} else if diff := cmp.Diff(want, tree(t, ours)); diff != "" {
				t.Errorf("%T differs from the original (-) on %s:\n%s", ours, what, diff)
			}
		}
		ours := make()
		if err := n.read([]byte(text), ours); err != nil {
			continue // has been reported
		}
		back, err := n.write(ours)
		if err != nil {
			t.Errorf("%T can't be written: %v", ours, err)
			continue
		}
		again := make()
		if err := n.read(back, again); err != nil {
			t.Errorf("%T can't read what it has written: %v", ours, err)
		} else if diff := cmp.Diff(want, tree(t, again)); diff != "" {
			t.Errorf("%T has changed (-) on the way to a file and back:\n%s", ours, diff)
		}
		if notation == "YAML" {
			continue // has the Engine API's names, which the original reads in JSON only
		}
		var read Original
		if err := n.read(back, &read); err != nil {
			t.Errorf("the original can't read what %T has written: %v", ours, err)
		} else if diff := cmp.Diff(want, tree(t, read)); diff != "" {
			t.Errorf("the original reads something else (+) in what %T has written:\n%s", ours, diff)
		}
	}
}

// A duration that makes no sense is an error in all of them.
func TestDurations(t *testing.T) {
	for _, value := range []string{`"90 apples"`, `"90"`, `true`, `[1]`, `{"a": 1}`} {
		text := `{"timeouts": {"http": ` + value + `}}`
		run := `{"config": {"container": {"image": "x"}, "timeout": ` + value + `}}`
		for notation, n := range notations {
			for _, c := range []struct {
				text string
				into any
			}{
				{text, new(original.Config)}, {text, new(docker.Config)}, {text, new(berth.Config)},
				{run, new(original.DockerRunConfig)}, {run, new(docker.DockerRunConfig)}, {run, new(berth.DockerRunConfig)},
			} {
				if err := n.read([]byte(c.text), c.into); err == nil {
					t.Errorf("%s, %T: %s was accepted", notation, c.into, value)
				}
			}
		}
	}
}

// What a file leaves out keeps its default. The original forgets the defaults of
// some sections when a file names one of their keys; so nobody can rely on that.
func TestPartialFiles(t *testing.T) {
	text := []byte(`{"execution": {"container": {"image": "lab:1"}}, "timeouts": {"http": "1s"}}`)
	for notation, n := range notations {
		var c docker.Config
		structutils.Defaults(&c)
		if err := n.read(text, &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", notation, err)
		}
		if c.Timeouts.HTTP != time.Second || c.Timeouts.Signal != time.Minute || c.Execution.Mode != docker.ExecutionModeConnection || len(c.Execution.ShellCommand) != 1 {
			t.Errorf("%s: %+v", notation, c)
		}
		var theirs original.Config
		structutils.Defaults(&theirs)
		if err := n.read(text, &theirs); err != nil {
			t.Fatal(err)
		}
		if theirs.Timeouts.Signal != 0 {
			t.Errorf("%s: the original keeps defaults by now; docs/migrating.md says that it does not", notation)
		}
	}
}
