//go:build linux

package guestshell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

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
	cmd := exec.Cmd{
		Path: path, Args: args, Dir: h.Dir, Env: exported(h.Env),
		Stdin: h.Stdin, Stdout: h.Stdout, Stderr: h.Stderr,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return interp.ExitStatus(128 + int(status.Signal()))
		}
		return interp.ExitStatus(uint8(status.ExitStatus()))
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
