package main

import (
	"fmt"
	"strings"

	"github.com/berth-ssh/berth/internal/testguest"
)

// cell is one sort of server, on one sort of engine.
type cell struct {
	engine    string // real or fake
	way, mode string // docker.execution.agent and .mode
	pool      bool
	// share is its part of a run's sessions, in percent, which is less where a
	// session costs the engine more.
	share int
	// sessions is how many a connection has at most.
	sessions int
}

var cells = []cell{
	{"real", "inject", "connection", false, 22, 50},
	{"real", "inject", "connection", true, 22, 40},
	{"real", "inject", "session", false, 3, 6},
	{"real", "inject", "session", true, 3, 6},
	{"real", "image", "connection", false, 7, 16},
	{"real", "image", "session", false, 2, 4},
	{"real", "none", "connection", false, 9, 16},
	{"real", "none", "session", false, 3, 4},
	{"fake", "inject", "connection", false, 9, 60},
	{"fake", "inject", "connection", true, 6, 20},
	{"fake", "inject", "session", false, 4, 10},
	{"fake", "inject", "session", true, 3, 10},
	{"fake", "none", "connection", false, 5, 20},
	{"fake", "none", "session", false, 2, 10},
}

// poolSize is how many containers wait in a pool.
const poolSize = 3

func (c cell) name() string {
	name := c.engine + "/" + c.way + "/" + c.mode
	if c.pool {
		name += "/pool"
	}
	return name
}

// signals says whether signals reach programs.
func (c cell) signals() bool { return c.way != "none" || c.mode == "session" }

// label is on all containers of a run, with the cell's mark as its value, and on
// their volumes.
const label = "berth.torture"

// config is that of the cell's server, for an engine and an image.
func (c cell) config(host, image, mark string) map[string]any {
	execution := map[string]any{
		"agent": c.way, "mode": c.mode, "imagePullPolicy": "Never",
		"shellCommand": []string{"/guest"},
		"container": map[string]any{
			"image": image, "labels": map[string]string{label: mark},
			// The engine's network is none of ours, takes time, and locks up Docker
			// 20.10 when many containers end at once.
			"networkdisabled": true,
		},
	}
	settings := map[string]any{}
	if c.engine == "real" {
		// A volume without a name, which goes with its container.
		settings["mounts"] = []any{map[string]any{
			"type": "volume", "target": "/scratch", "volumeOptions": map[string]any{"labels": map[string]string{label: mark}},
		}}
	}
	if c.way != "inject" && c.mode == "connection" {
		execution["idleCommand"] = []string{"/guest", "idle"}
		settings["init"] = true // or the guest, as the first process, would not hear that it should end
	}
	if c.way == "image" {
		execution["agentPath"] = testguest.AgentPath
	}
	execution["host"] = settings
	docker := map[string]any{"connection": map[string]any{"host": host}, "execution": execution}
	if c.pool {
		docker["pool"] = map[string]any{"min": poolSize, "max": poolSize, "refillRate": 100}
	}
	return map[string]any{
		"ssh":    map[string]any{"maxConnections": -1, "drainTimeout": "5s"},
		"docker": docker,
		"log":    map[string]any{"level": "info"},
	}
}

// choice is a flag that chooses cells: words with commas.
type choice map[string]bool

func (c choice) String() string {
	var words []string
	for word := range c {
		words = append(words, word)
	}
	return strings.Join(words, ",")
}

func (c choice) Set(text string) error {
	allowed := map[string]bool{}
	for word := range c {
		allowed[word] = true
	}
	clear(c)
	for word := range strings.SplitSeq(text, ",") {
		if !allowed[word] {
			return fmt.Errorf("there is no %q", word)
		}
		c[word] = true
	}
	return nil
}
