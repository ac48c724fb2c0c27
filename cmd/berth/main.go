// Command berth is an SSH server that lands every connection in a container of
// its own, and the tools around it. `berth --help` lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the Makefile.
var version = ""

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "berth",
		Short: "Lands every SSH connection in a container of its own",
		Long: `Berth is an SSH server that lands every connection in a container of its own,
made from any image on a Docker Engine or Podman, and gone when the client leaves.`,
		Example: `  berth serve                              try it: loopback, a built-in image, your own keys
  berth serve --config /etc/berth.yaml     serve as a file says
  berth config check /etc/berth.yaml       see what is wrong with it before use`,
		Args:              noArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), configCommand(), versionCommand())
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errReported) {
		return exitError
	}
	fmt.Fprintf(stderr, "berth: %v\n", err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", ran.CommandPath())
		return exitUsage
	}
	return exitError
}

// errReported is an error that the user has read already.
var errReported = errors.New("reported")

// noArgs refuses operands, and so unknown commands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{fmt.Errorf("there is no command %q", args[0])}
	}
	return usageError{fmt.Errorf("%s takes no operand %q", cmd.CommandPath(), args[0])}
}

// oneFile wants exactly one operand.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes one file", cmd.CommandPath())}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version
			if info, ok := debug.ReadBuildInfo(); v == "" && ok {
				v = info.Main.Version
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "berth %s (%s, %s/%s)\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
