// Command berth-agent is the guest agent: the small static program that Berth
// runs inside containers. berth-agent --help tells what it does there.
package main

import (
	"os"

	"github.com/berth-ssh/berth/internal/guest"
)

func main() {
	os.Exit(guest.Main(os.Args[1:]))
}
