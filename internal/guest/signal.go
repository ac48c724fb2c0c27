//go:build linux

package guest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendSignal is the signal subcommand.
func sendSignal(args []string) int {
	flags := flag.NewFlagSet("signal", flag.ContinueOnError)
	pid := flags.Int("pid", 0, "")
	name := flags.String("signal", "", "")
	if code, done := parse(flags, args); done {
		return code
	}
	if *pid <= 0 || *name == "" || flags.NArg() > 0 {
		complain("signal: give --pid N and --signal NAME")
		return exitUsage
	}
	sig, err := signalByName(*name)
	if err != nil {
		complain("signal: %v", err)
		return exitUsage
	}
	if err := deliver(*pid, sig); err != nil {
		complain("signal: process %d: %v", *pid, err)
		return exitFailure
	}
	return 0
}

// deliver sends a signal to the process group that pid leads, as OpenSSH does
// for a session's program, or to the process alone if it leads none. Process 1
// gets it alone in any case: to the kernel, "group 1" means every process.
func deliver(pid int, sig syscall.Signal) error {
	target := pid
	if group, err := unix.Getpgid(pid); err == nil && group == pid && pid != 1 {
		target = -pid
	}
	err := unix.Kill(target, sig)
	if errors.Is(err, unix.ESRCH) {
		return errors.New("there is no such process")
	}
	if err == nil && (sig == unix.SIGHUP || sig == unix.SIGTERM) {
		// A stopped program would hear of its end only when it is continued.
		_ = unix.Kill(target, unix.SIGCONT)
	}
	return err
}

// waitSignal is the wait-signal subcommand.
func waitSignal(args []string) int {
	flags := flag.NewFlagSet("wait-signal", flag.ContinueOnError)
	var wanted []os.Signal
	flags.Func("signal", "", func(name string) error {
		sig, err := signalByName(name)
		if err != nil {
			return err
		}
		if sig == unix.SIGKILL {
			return errors.New("KILL can't be waited for")
		}
		wanted = append(wanted, sig)
		return nil
	})
	message := flags.String("message", "", "")
	if code, done := parse(flags, args); done {
		return code
	}
	if len(wanted) == 0 || flags.NArg() > 0 {
		complain("wait-signal: give at least one --signal NAME")
		return exitUsage
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, wanted...)
	// Signals of children merge, so one slot is enough: each means "look".
	children := make(chan os.Signal, 1)
	if os.Getpid() == 1 {
		signal.Notify(children, unix.SIGCHLD)
		reap()
	}
	for {
		select {
		case <-children:
			reap()
		case <-got:
			if *message != "" {
				fmt.Println(*message)
			}
			return 0
		}
	}
}

// reap takes the exit status of each child that has ended. A container's first
// process inherits all orphans and nobody else can.
func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid == 0 {
			return
		}
	}
}
