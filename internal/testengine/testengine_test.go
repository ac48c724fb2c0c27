package testengine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/engine"
)

// An engine can be ended and brought back in every way.
func TestEngine(t *testing.T) {
	e := Start(t, "64m")
	client, err := engine.Open(engine.Settings{Host: e.Host(), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.CloseIdle()
	defer client.Close()
	answers := func() error {
		_, err := client.ListContainers(context.Background(), nil)
		return err
	}
	for name, c := range map[string]struct{ end, back func() }{
		"stopped": {e.Stop, e.Up},
		"killed":  {e.Kill, e.Up},
		"frozen":  {e.Freeze, e.Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			c.end()
			if err := answers(); !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("while it is away: %v", err)
			}
			c.back()
			if err := answers(); err != nil {
				t.Errorf("when it is back: %v", err)
			}
		})
	}
	e.FillDisk()
	e.FreeDisk()
	if n := len(e.Processes("sleep", "infinity")); n != 1 {
		t.Errorf("%d processes of the holder's", n)
	}
}
