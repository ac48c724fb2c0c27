package engine

import (
	"context"

	"github.com/moby/moby/client"
)

// Machine is what an engine's machine has, and what of it the engine can limit.
type Machine struct {
	// Memory is in bytes; zero if the engine does not say.
	Memory int64
	// What can be limited or weighed: it needs a controller of the kernel's, which
	// rootless engines in particular may not have been given.
	LimitsMemory, LimitsSwap, LimitsPIDs, WeighsCPUs bool
}

// Machine asks for the engine's machine. Each call asks anew; Docker takes some
// milliseconds to answer.
func (c *Client) Machine(ctx context.Context) (Machine, error) {
	var m Machine
	err := c.link.unary(ctx, "ask for the engine's machine", 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.Info(ctx, client.InfoOptions{})
		if err != nil {
			return err
		}
		m = Machine{
			Memory:       r.Info.MemTotal,
			LimitsMemory: r.Info.MemoryLimit, LimitsSwap: r.Info.SwapLimit,
			LimitsPIDs: r.Info.PidsLimit, WeighsCPUs: r.Info.CPUShares,
		}
		return nil
	})
	return m, err
}
