// Package guestcmd holds the everyday commands of the built-in guest image:
// ls, cat, grep and the like, each one small and honest. A command does what
// its --help says, as the command of that name does on a Debian system, and
// refuses any option it doesn't have.
//
//	table.go     the list of commands; Lookup and Main run one
//	options.go   options as getopt has them
//	call.go      one run of a command: its streams, its errors
//	everything else is named after the commands it holds
//
// They are linked into one program, cmd/berth-guest, which the image has under
// the name of each command. Each runs in a process of its own, so that pipes,
// signals and exit codes are those of the system.
package guestcmd
