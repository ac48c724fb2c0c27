package docker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/engine"
)

// What a container gets where execution.host does not say. The reasons are in
// docs/security.md, the way to turn each off at LaunchConfig.HostConfig.
const (
	// confinedPIDs bounds processes and threads together.
	confinedPIDs = 1024
	// memoryShare is the part of the machine's memory that one container may use,
	// but leastMemory at least; unknownMemory, where the engine does not tell.
	memoryShare   = 4
	leastMemory   = 256 << 20
	unknownMemory = 1 << 30
	// confinedShares is half of the engine's own 1024.
	confinedShares = 512
	// confinedScore makes the kernel, when the machine itself runs out of memory,
	// end users' programs before the server and the engine (proc(5), oom_score_adj).
	confinedScore = 500
)

// droppedCapabilities are those that engines give to root in a container, and that
// neither logins nor package managers need.
var droppedCapabilities = []string{
	"MKNOD",   // device files
	"NET_RAW", // packets in others' names
}

const noNewPrivileges = "no-new-privileges"

// confine completes what execution.host leaves open. It does not fail: an engine
// that can't be asked will not make a container either, and says so better then.
func (p *provider) confine(ctx context.Context, host *container.HostConfig) {
	info, err := p.engine.Info(ctx) // known since the first call
	if err == nil && info.OS == "windows" {
		return // there is none of it there
	}
	if !host.Privileged {
		host.CapDrop = dropCapabilities(host.CapAdd, host.CapDrop)
		host.SecurityOpt = gainNothing(host.SecurityOpt, info.Podman)
	}
	if host.IpcMode.IsEmpty() {
		host.IpcMode = container.IPCModePrivate // not so with Podman, and older engines
	}
	if host.OomScoreAdj == 0 {
		host.OomScoreAdj = confinedScore
	}
	m := machine(ctx, p.engine, p.config.Connection.Host, p.log)
	if host.PidsLimit == nil && m.LimitsPIDs {
		limit := int64(confinedPIDs)
		host.PidsLimit = &limit
	}
	if host.CPUShares == 0 && m.WeighsCPUs {
		host.CPUShares = confinedShares
	}
	limitMemory(&host.Resources, m)
}

// dropCapabilities adds to what is dropped, but for what is added: Podman refuses
// what is both.
func dropCapabilities(add, drop []string) []string {
	named := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(entry string) bool {
			entry = strings.TrimPrefix(strings.ToUpper(entry), "CAP_")
			return entry == name || entry == "ALL"
		})
	}
	drop = slices.Clone(drop)
	for _, name := range droppedCapabilities {
		if !named(add, name) && !named(drop, name) {
			drop = append(drop, name)
		}
	}
	return drop
}

// gainNothing keeps programs from gaining rights, unless the options say something
// of that themselves.
func gainNothing(options []string, podman bool) []string {
	said := func(option string) bool { return strings.HasPrefix(option, noNewPrivileges) }
	off := func(option string) bool { return said(option) && strings.HasSuffix(option, "false") }
	switch {
	case !slices.ContainsFunc(options, said):
		return append(slices.Clone(options), noNewPrivileges)
	case podman:
		// It takes the bare name only.
		rest := slices.DeleteFunc(slices.Clone(options), said)
		if slices.ContainsFunc(options, off) {
			return rest
		}
		return append(rest, noNewPrivileges)
	}
	return options
}

// limitMemory bounds memory, swap included, unless anything is said of it.
func limitMemory(r *container.Resources, m engine.Machine) {
	switch {
	case r.Memory < 0:
		r.Memory = 0 // without a limit
		return
	case r.Memory > 0 || r.MemorySwap != 0 || r.MemoryReservation != 0 || !m.LimitsMemory:
		return
	case m.Memory <= 0:
		r.Memory = unknownMemory
	default:
		r.Memory = min(max(m.Memory/memoryShare, leastMemory), m.Memory)
	}
	if m.LimitsSwap {
		// The engine's own default is as much again of swap, which makes what is
		// running away slow before it is ended, and everybody else with it.
		r.MemorySwap = r.Memory
	}
}

// machines are those of this process's engines, by host: they are asked for once,
// and not again for each connection.
var machines struct {
	mu sync.Mutex // for memory only
	by map[string]engine.Machine
}

// machine is the engine's machine. An engine that does not tell, which is a
// filter before it, most likely, is taken for one that can limit everything.
func machine(ctx context.Context, e *engine.Client, host string, log *slog.Logger) engine.Machine {
	machines.mu.Lock()
	m, known := machines.by[host]
	machines.mu.Unlock()
	if known {
		return m
	}
	m, err := e.Machine(ctx)
	if err != nil {
		m = engine.Machine{LimitsMemory: true, LimitsPIDs: true, WeighsCPUs: true}
		if !engine.Permanent(err) || ctx.Err() != nil {
			return m // it may tell the next one
		}
		log.Warn("the engine does not tell what its machine has; a container's memory is limited to 1 GiB unless execution.host.memory says otherwise", "error", err)
	} else if !m.LimitsMemory || !m.LimitsPIDs {
		log.Warn("the engine can't limit what containers use: one user can take the machine down",
			"memory", m.LimitsMemory, "pids", m.LimitsPIDs)
	}
	machines.mu.Lock()
	defer machines.mu.Unlock()
	if machines.by == nil {
		machines.by = map[string]engine.Machine{}
	}
	machines.by[host] = m
	return m
}
