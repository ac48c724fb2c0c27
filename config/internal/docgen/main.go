// Docgen writes what is made from the comments of the configuration's
// structures. It is run by `go generate` in the directory of package config,
// once for each of its two outputs: the second is made by a program that has
// the first one built in.
//
//	docgen comments FILE    the comments themselves, for package config
//	docgen reference FILE   the reference for users
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/config/internal/sourcedoc"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want two arguments, comments or reference and a file; have %q", args)
	}
	what, path := args[0], args[1]
	switch what {
	case "comments":
		comments, err := sourcedoc.Comments(".", "../docker")
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(comments, "", "\t")
		if err != nil {
			return err
		}
		return os.WriteFile(path, append(text, '\n'), 0o644)
	case "reference":
		return os.WriteFile(path, []byte(config.Reference()), 0o644)
	default:
		return fmt.Errorf("unknown output %q", what)
	}
}
