package containerssh

import (
	"github.com/containerssh/metrics"

	"github.com/berth-ssh/berth/docker"
)

// Counter makes a counter of the original's metrics one of ours; nil stays nil.
func Counter(c metrics.SimpleCounter) docker.Counter {
	if c == nil {
		return nil
	}
	return counter{c}
}

type counter struct{ metrics.SimpleCounter }

func (c counter) Inc() { c.Increment() }
