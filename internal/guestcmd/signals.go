//go:build linux

package guestcmd

import (
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ResetSignals gives signals back the effect that they have on a C program.
// The Go runtime takes most of them: it would ignore USR1 and USR2, and answer
// QUIT or ABRT with a listing of goroutines and exit code 2, where a shell's
// user and the server expect a program that was killed by that signal.
// It is for the beginning of main, before any use of os/signal.
func ResetSignals() {
	for _, sig := range []syscall.Signal{
		unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
		unix.SIGUSR1, unix.SIGSEGV, unix.SIGUSR2, unix.SIGALRM, unix.SIGXCPU, unix.SIGXFSZ,
		unix.SIGVTALRM, unix.SIGIO, unix.SIGPWR, unix.SIGSYS, unix.SIGSTKFLT,
	} {
		if !signal.Ignored(sig) {
			setDisposition(sig, 0)
		}
	}
}

// ignoreSignal makes the process, and what it becomes, ignore a signal.
func ignoreSignal(sig syscall.Signal) { setDisposition(sig, 1) }

// setDisposition sets a signal to its default (0) or to be ignored (1),
// sigaction(2), past the runtime's own handlers.
func setDisposition(sig syscall.Signal, handler uintptr) {
	// The kernel's struct sigaction, of the same shape on amd64 and arm64 up
	// to the restorer, which is unused without SA_RESTORER.
	action := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: handler}
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	runtime.KeepAlive(&action)
}

// DieFromSignal ends the process by a signal, as if the signal had never been
// caught, so that whoever waits sees that.
func DieFromSignal(sig syscall.Signal) {
	setDisposition(sig, 0)
	_ = unix.Kill(unix.Getpid(), sig)
}
