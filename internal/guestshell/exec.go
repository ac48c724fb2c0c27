//go:build linux

package guestshell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// inBackground is the key of what a context says of a line typed at the
// prompt: that it runs in the background, where ctrl-c does not reach.
type inBackground struct{}

// run runs a program and waits for it. ctrl-c reaches it from the terminal, as
// it does everything in the foreground.
func run(ctx context.Context, args []string) error {
	h := interp.HandlerCtx(ctx)
	path, err := interp.LookPathDir(h.Dir, h.Env, args[0])
	if err != nil {
		if info, statErr := os.Stat(args[0]); strings.Contains(args[0], "/") && statErr == nil {
			if info.IsDir() {
				fmt.Fprintf(h.Stderr, "sh: %s: Is a directory\n", args[0])
			} else {
				fmt.Fprintf(h.Stderr, "sh: %s: Permission denied\n", args[0])
			}
			return interp.ExitStatus(126)
		}
		fmt.Fprintf(h.Stderr, "sh: %s: not found\n", args[0])
		return interp.ExitStatus(127)
	}
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Dir, cmd.Env = args, h.Dir, exported(h.Env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = h.Stdin, h.Stdout, h.Stderr
	if ctx.Value(inBackground{}) != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	// The terminal interrupts it with all others, but for one that ctrl-c has
	// come just before.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		if status.Signal() == syscall.SIGINT && ctx.Done() != nil {
			// So this shell has been interrupted too, and is about to hear of it.
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		if status.Signaled() {
			return interp.ExitStatus(128 + int(status.Signal()))
		}
		return interp.ExitStatus(uint8(status.ExitStatus()))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		fmt.Fprintf(h.Stderr, "sh: %s: %v\n", args[0], errors.Unwrap(err))
		return interp.ExitStatus(126)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(h.Stderr, "sh: %s: not found\n", args[0])
		return interp.ExitStatus(127)
	default:
		fmt.Fprintf(h.Stderr, "sh: %s: %v\n", args[0], err)
		return interp.ExitStatus(126)
	}
}

// call changes what is called: the interpreter knows some names that it has
// nothing for.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	h := interp.HandlerCtx(ctx)
	switch args[0] {
	case "help":
		s.help(h.Stdout)
		return []string{":"}, nil
	case "kill":
		if path, err := interp.LookPathDir(h.Dir, h.Env, args[0]); err == nil {
			args[0] = path
		}
	case "logout":
		args[0] = "exit"
	case "umask":
		return []string{umask(h, args[1:])}, nil
	case "read":
		if f, ok := h.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return readTerminal(ctx, f, args)
		}
	}
	return args, nil
}

// umask shows or sets the mask of this process, which programs inherit, and
// returns the command that stands for its success.
func umask(h interp.HandlerContext, args []string) string {
	if len(args) == 0 {
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		fmt.Fprintf(h.Stdout, "%04o\n", mask)
		return "true"
	}
	mask, err := strconv.ParseUint(args[0], 8, 9)
	if err != nil {
		fmt.Fprintf(h.Stderr, "sh: umask: %s: must be octal\n", args[0])
		return "false"
	}
	syscall.Umask(int(mask))
	return "true"
}

// exported lists the variables that programs get.
func exported(env expand.Environ) []string {
	var list []string
	env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.Kind == expand.String {
			list = append(list, name+"="+v.Str)
		}
		return true
	})
	return list
}
