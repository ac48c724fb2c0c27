//go:build linux

package guestcmd

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Command is one command of the image.
type Command struct {
	Name string
	// Usage is the synopsis without the name, such as "[-n N] [FILE]...".
	Usage string
	// Help says what it does and lists the options: one sentence, then lines.
	Help string
	// Paths are where the image has it; nil means /bin/NAME.
	Paths []string

	spec string
	long map[string]rune
	// raw leaves all arguments to run, for commands with a grammar of their own.
	raw bool
	// usageCode is the exit code for wrong usage; zero means 1.
	usageCode int
	run       func(*call) int
}

// Commands lists all commands, sorted by name.
func Commands() []Command {
	var all []Command
	for _, group := range [][]Command{
		basicCommands(), fileCommands(), listCommands(), textCommands(), grepCommands(), findCommands(),
		processCommands(), systemCommands(), terminalCommands(), archiveCommands(),
		dataCommands(), nameCommands(), sftpCommands(), xargsCommands(),
	} {
		all = append(all, group...)
	}
	slices.SortFunc(all, func(a, b Command) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Lookup finds a command by its name.
func Lookup(name string) (Command, bool) {
	for _, c := range Commands() {
		if c.Name == name {
			return c, true
		}
	}
	return Command{}, false
}

// Main runs the command on the process's own standard streams and returns its
// exit code. args are without the name.
func (cmd Command) Main(args []string) int {
	c := &call{
		name: cmd.Name,
		in:   os.Stdin,
		out:  &output{Writer: bufio.NewWriterSize(os.Stdout, 64<<10), terminal: isTerminal(os.Stdout)},
	}
	if !cmd.raw || len(args) == 1 {
		for _, a := range args {
			if a == "--help" {
				fmt.Printf("usage: %s %s\n%s\n", cmd.Name, cmd.Usage, strings.TrimSpace(cmd.Help))
				return 0
			}
			if a == "--" || strings.HasPrefix(cmd.spec, "+") && !strings.HasPrefix(a, "-") {
				break
			}
		}
	}
	if cmd.raw {
		c.args = args
	} else {
		opts, operands, err := parseOptions(args, cmd.spec, cmd.long)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\nusage: %s %s\n", cmd.Name, err, cmd.Name, cmd.Usage)
			return max(cmd.usageCode, 1)
		}
		c.opts, c.args = opts, operands
	}
	code := cmd.run(c)
	if err := c.out.Flush(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: write error: %s\n", cmd.Name, reason(err))
		return max(code, 1)
	}
	return code
}
