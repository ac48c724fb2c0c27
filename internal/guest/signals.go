//go:build linux

package guest

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// signals are the names of RFC 4254, section 6.10, without the SIG prefix.
// Nothing else is accepted: what a client asks for arrives here unchanged.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT,
	"ALRM": syscall.SIGALRM,
	"FPE":  syscall.SIGFPE,
	"HUP":  syscall.SIGHUP,
	"ILL":  syscall.SIGILL,
	"INT":  syscall.SIGINT,
	"KILL": syscall.SIGKILL,
	"PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT,
	"SEGV": syscall.SIGSEGV,
	"TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2,
}

// signalNames lists what signalByName knows, in order.
func signalNames() string {
	names := make([]string, 0, len(signals))
	for name := range signals {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// signalByName returns the signal of an RFC 4254 name.
func signalByName(name string) (syscall.Signal, error) {
	if s, ok := signals[name]; ok {
		return s, nil
	}
	return 0, fmt.Errorf("%q is not a signal name of RFC 4254; use one of %s", name, signalNames())
}
