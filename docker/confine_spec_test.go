package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/fakeengine"
)

// What a container gets where execution.host says nothing, and what that says
// instead: each default can be turned off. The engine's machine has 8 GiB.
func TestConfine(t *testing.T) {
	for _, c := range []struct {
		name   string
		engine fakeengine.Options
		host   string // execution.host
		want   string // parts of what the engine gets, one a line
	}{
		{"nothing said", fakeengine.Options{}, `{}`, `
			"CapDrop":["MKNOD","NET_RAW"]
			"SecurityOpt":["no-new-privileges"]
			"IpcMode":"private"
			"OomScoreAdj":500
			"PidsLimit":1024
			"CpuShares":512
			"Memory":2147483648
			"MemorySwap":2147483648
			"Privileged":false
			"PublishAllPorts":false
			"PidMode":""
			"NetworkMode":""`},
		{"all turned off", fakeengine.Options{},
			`{"memory": -1, "pidslimit": -1, "cpushares": 1024, "oomscoreadj": 1, "securityopt": ["no-new-privileges:false"], "capadd": ["mknod", "CAP_NET_RAW"], "ipcmode": "shareable"}`, `
			"CapDrop":null
			"SecurityOpt":["no-new-privileges:false"]
			"IpcMode":"shareable"
			"OomScoreAdj":1
			"PidsLimit":-1
			"CpuShares":1024
			"Memory":0
			"MemorySwap":0`},
		{"privileged", fakeengine.Options{}, `{"privileged": true}`, `
			"CapDrop":null
			"SecurityOpt":null
			"PidsLimit":1024
			"Memory":2147483648`},
		{"more capabilities", fakeengine.Options{}, `{"capadd": ["SYS_PTRACE", "net_raw"], "capdrop": ["SETPCAP"]}`, `
			"CapAdd":["SYS_PTRACE","net_raw"]
			"CapDrop":["SETPCAP","MKNOD"]`},
		{"all capabilities", fakeengine.Options{}, `{"capadd": ["ALL"]}`, `"CapDrop":null`},
		{"no capabilities", fakeengine.Options{}, `{"capdrop": ["all"]}`, `"CapDrop":["all"]`},
		{"other options", fakeengine.Options{}, `{"securityopt": ["seccomp=unconfined"]}`,
			`"SecurityOpt":["seccomp=unconfined","no-new-privileges"]`},
		{"swap", fakeengine.Options{}, `{"memory": 1000000000, "memoryswap": -1}`, `
			"Memory":1000000000
			"MemorySwap":-1`},
		{"memory without a word on swap", fakeengine.Options{}, `{"memory": 1000000000}`, `
			"Memory":1000000000
			"MemorySwap":0`},
		// With a limit below it the engine would refuse the container.
		{"reservation", fakeengine.Options{}, `{"memoryreservation": 4000000000}`, `
			"Memory":0
			"MemoryReservation":4000000000`},
		{"no processes at all", fakeengine.Options{}, `{"pidslimit": 0}`, `"PidsLimit":0`},
		{"a small machine", fakeengine.Options{Machine: map[string]any{"MemTotal": 600 << 20}}, `{}`, `"Memory":268435456`},
		{"a tiny machine", fakeengine.Options{Machine: map[string]any{"MemTotal": 100 << 20}}, `{}`, `"Memory":104857600`},
		{"no swap accounting", fakeengine.Options{Machine: map[string]any{"SwapLimit": false}}, `{}`, `
			"Memory":2147483648
			"MemorySwap":0`},
		{"an engine without controllers", fakeengine.Options{Machine: map[string]any{"MemoryLimit": false, "PidsLimit": false, "CPUShares": false}}, `{}`, `
			"PidsLimit":null
			"CpuShares":0
			"Memory":0
			"CapDrop":["MKNOD","NET_RAW"]`},
		{"podman, off", fakeengine.Options{Podman: true}, `{"securityopt": ["no-new-privileges:false", "label=disable"]}`, `"SecurityOpt":["label=disable"]`},
		{"podman, on", fakeengine.Options{Podman: true}, `{"securityopt": ["no-new-privileges=true"]}`, `"SecurityOpt":["no-new-privileges"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := confined(t, c.engine, c.host)
			for want := range strings.FieldsSeq(c.want) {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %s", want, got)
				}
			}
		})
	}
}

// confined is what the engine gets as a container's host configuration.
func confined(t *testing.T, o fakeengine.Options, host string) string {
	t.Helper()
	var launch LaunchConfig
	if err := json.Unmarshal([]byte(`{"container": {"image": "guest"}, "host": `+host+`}`), &launch); err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(launch)
	if err != nil {
		t.Fatal(err)
	}
	p := testProvider(t, fakeengine.New(t, o), ExecutionConfig{Launch: launch, Agent: AgentNone, IdleCommand: []string{"idle"}})
	spec, err := p.spec(t.Context(), backend.Launch{Login: testLogin}, "launch", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := json.Marshal(launch); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the configuration has become %s, %v", after, err)
	}
	text, err := json.Marshal(spec.Host)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An engine is asked once what its machine has; one that does not tell is given
// limits all the same, and one that has a fault is asked again.
func TestConfineAsksOnce(t *testing.T) {
	const route = "GET /info"
	for _, c := range []struct {
		name  string
		fault fakeengine.Fault
		want  []int64 // of the logins that come one after another
		asked int
	}{
		{"a fault", fakeengine.Fault{Route: route, Nth: 1, Status: 500}, []int64{unknownMemory, 2 << 30, 2 << 30}, 2},
		{"a filter", fakeengine.Fault{Route: route, Status: 403}, []int64{unknownMemory, unknownMemory}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := fakeengine.New(t, fakeengine.Options{})
			e.Order(c.fault)
			p := testProvider(t, e, ExecutionConfig{Launch: LaunchConfig{ContainerConfig: &container.Config{Image: "guest"}}})
			for _, want := range c.want {
				var host container.HostConfig
				p.confine(t.Context(), &host)
				if host.Memory != want || host.PidsLimit == nil {
					t.Errorf("memory %d, processes %v; want %d and a limit", host.Memory, host.PidsLimit, want)
				}
			}
			if n := e.Count(route); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}
