// Command berth-guest is the shell and all commands of Berth's built-in guest
// image in one static program; the name that it is called by says which.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-ssh/berth/internal/guestcmd"
	"github.com/berth-ssh/berth/internal/guestshell"
)

func main() {
	guestcmd.ResetSignals()
	os.Exit(run(os.Args))
}

func run(argv []string) int {
	name := strings.TrimPrefix(filepath.Base(argv[0]), "-")
	if name == "berth-guest" {
		if len(argv) < 2 {
			help(os.Stdout)
			return 2
		}
		argv = argv[1:]
		name = argv[0]
	}
	switch name {
	case "sh", "bash":
		return guestshell.Main(argv, help)
	}
	command, ok := guestcmd.Lookup(name)
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: no such command in this image\n", name)
		return 127
	}
	return command.Main(argv[1:])
}

// help lists what there is.
func help(w io.Writer) {
	fmt.Fprint(w, "This is Berth's built-in image: for trying Berth, not a distribution.\nCommands, each with --help:")
	width := 100
	for _, c := range guestcmd.Commands() {
		if width+len(c.Name)+1 > 76 {
			fmt.Fprint(w, "\n  ")
			width = 2
		}
		fmt.Fprint(w, c.Name, " ")
		width += len(c.Name) + 1
	}
	fmt.Fprintln(w)
}
