package main

import "syscall"

// endWithParent makes a process get TERM when this one has been killed, and
// leaves ctrl-c on the terminal to this one, which ends it in its turn.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
