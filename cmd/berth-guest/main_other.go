//go:build !linux

// Command berth-guest runs in Linux containers only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "berth-guest runs in Linux containers only")
	os.Exit(1)
}
