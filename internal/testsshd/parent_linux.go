package testsshd

import "syscall"

// endWithParent makes a process end when the one that started it has been
// killed.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
