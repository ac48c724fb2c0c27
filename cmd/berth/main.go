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
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
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
		Args: noArgs,
		// Without it cobra shows the help for an unknown command, too.
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), psCommand(), reapCommand(), configCommand(), versionCommand())
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errReported) {
		return exitError
	}
	fmt.Fprintf(stderr, "berth: %s\n", oneLine(err))
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", ran.CommandPath())
		return exitUsage
	}
	return exitError
}

// oneLine says what is wrong in one line. Of many problems with a file it tells
// the first one, and how to see the others.
func oneLine(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) && len(problems) > 1 {
		return fmt.Sprintf("%v (and %d more: berth config check %s)", problems[0], len(problems)-1, problems[0].File)
	}
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// errReported is an error that the user has read already.
var errReported = errors.New("reported")

// noArgs refuses operands, and so unknown commands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usageError{fmt.Errorf("there is no command %q; did you mean %q?", args[0], near[0])}
		}
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
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "berth %s (%s, %s/%s)\n", currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// currentVersion is the one that the Makefile has set, otherwise the module's,
// otherwise the commit's.
func currentVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "commit " + s.Value[:12]
		}
	}
	return "unknown"
}
