//go:build !linux

// Command guest runs in containers, which are Linux'.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "guest: runs on Linux only")
	os.Exit(1)
}
