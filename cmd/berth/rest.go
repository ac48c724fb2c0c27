package main

import (
	"context"
	"runtime"
	"runtime/debug"
	goruntime "runtime/metrics"
	"time"
)

const (
	// restInterval is how often the server looks whether it rests.
	restInterval = 2 * time.Second
	// restAllocates is what it may allocate in that time, resting: what keepalives
	// and metrics take.
	restAllocates = 4 << 20
	// restWorth is what it must have allocated since it last gave memory back for
	// another time to be worth it: some hundred logins.
	restWorth = 32 << 20
)

// rest gives memory back when a rush is over. Key exchanges need deep stacks, which
// only the collector makes smaller, by half each time; and a server whose users are
// idle allocates nothing that would make it collect.
type rest struct {
	seen  uint64 // bytes allocated in all, at the last look
	given uint64 // likewise, when memory was last given back
}

// look takes the bytes allocated in all and says whether to give memory back.
func (r *rest) look(allocated uint64) bool {
	quiet := allocated-r.seen < restAllocates
	r.seen = allocated
	if !quiet || allocated-r.given < restWorth {
		return false
	}
	r.given = allocated
	return true
}

// run looks until ctx ends.
func (r *rest) run(ctx context.Context) {
	allocated := []goruntime.Sample{{Name: "/gc/heap/allocs:bytes"}}
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		goruntime.Read(allocated)
		if r.look(allocated[0].Value.Uint64()) {
			for range 3 { // from 32 KiB to the 4 that most stacks need
				runtime.GC()
			}
			debug.FreeOSMemory()
		}
	}
}
