//go:build !linux

// Command berth-agent is the guest agent. It runs inside Linux containers.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "berth-agent: runs inside Linux containers only; build it with GOOS=linux")
	os.Exit(1)
}
