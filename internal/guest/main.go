//go:build linux

package guest

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
)

// Exit codes of the agent itself. Those of a program are its own.
const (
	exitFailure       = 1
	exitUsage         = 2
	exitNotExecutable = 126
	exitNotFound      = 127
)

const help = `berth-agent is the part of Berth that runs inside a container.

A server starts it there; a person rarely does. It needs nothing of the image:
it is one static program.

  berth-agent console [--env K=V]... [--wait] [--pid] -- PROGRAM [ARG]...
      Becomes PROGRAM. It is looked up in PATH, the one set with --env if any.
      --env K=V  adds a variable to its environment, or replaces one
      --wait     first waits for one byte on standard input: NUL or a newline
      --pid      first writes its process id to standard output: 4 bytes,
                 little endian
      Ends with 127 if there is no such program, with 126 if it can't be run.
      On a terminal that has no size yet it waits for one, a second at most.

  berth-agent signal --pid N --signal NAME
      Sends a signal to a process, or to its whole process group if it leads
      one. Ends with 1 if there is no such process.

  berth-agent wait-signal --signal NAME... [--message TEXT]
      Waits for one of the signals, prints TEXT, and ends with 0. Meant to be a
      container's first process: as such it also reaps orphans.

  berth-agent scp -t|-f [-dpr] PATH...
      The other end of a client's scp that does not use SFTP; also under the
      name scp, for images without one.

  berth-agent serve
      Serves sessions to a server at standard input and output, in Berth's
      agent protocol, until these end. As a container's first process it also
      reaps orphans, and the container ends with it.

  berth-agent sftp-server
      Serves SFTP, version 3, on standard input and output.

  berth-agent write-file PATH
      Writes standard input to PATH, readable by its owner only (mode 0600).
      PATH has the old content or all of the new, never a part.

  berth-agent version
      Prints the version.

Signal names are those of RFC 4254, without SIG:
  %s
`

// Main runs the agent's command line and returns the exit code of the process.
// args are without the program's name. When the console subcommand succeeds it
// doesn't return: the process has become another program.
func Main(args []string) int {
	// One processor and an eager collector: there is one of these for each
	// idle container, so its size counts and its speed doesn't.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)

	if filepath.Base(os.Args[0]) == scpName {
		args = append([]string{scpName}, args...)
	}
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, help, signalNames())
		return exitUsage
	}
	var run func([]string) int
	switch args[0] {
	case "console":
		run = console
	case "signal":
		run = sendSignal
	case "wait-signal":
		run = waitSignal
	case scpName:
		run = scp
	case "serve":
		run = serve
	case "sftp-server":
		run = sftpServer
	case "write-file":
		run = writeFile
	case "version", "--version", "-version":
		fmt.Println("berth-agent", version())
		return 0
	case "help", "--help", "-help", "-h":
		fmt.Printf(help, signalNames())
		return 0
	default:
		complain("unknown subcommand %q; berth-agent --help lists what there is", args[0])
		return exitUsage
	}
	return run(args[1:])
}

// version is the one of the module that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// complain writes one line to standard error.
func complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "berth-agent: "+format+"\n", args...)
}

// parse parses flags of a subcommand. When the caller shall end, done is true
// and code is what to end with.
func parse(flags *flag.FlagSet, args []string) (code int, done bool) {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case err == nil:
		return 0, false
	case errors.Is(err, flag.ErrHelp):
		fmt.Printf(help, signalNames())
		return 0, true
	default:
		complain("%s: %v; berth-agent --help shows how it is used", flags.Name(), err)
		return exitUsage, true
	}
}
