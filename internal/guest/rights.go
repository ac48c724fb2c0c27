//go:build linux

package guest

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/agentproto"
)

// isSelf says whether the account is the one that the agent runs as.
func (a account) isSelf() bool { return int(a.uid) == os.Getuid() }

// reachable says whether the agent can become the account.
func (a account) reachable() error {
	if a.isSelf() || os.Getuid() == 0 {
		return nil
	}
	return &agentproto.Refusal{Reason: agentproto.ReasonProhibited, Message: fmt.Sprintf(
		"This container runs as user %d, who can't become %s; only root can.", os.Getuid(), a.name)}
}

// do does something with the rights of the account and no others: f must not
// leave it to another goroutine.
//
// Linux keeps the identity for each thread. The goroutine that takes it on is
// never unlocked from its thread, and so the thread ends with it.
func (a account) do(f func() error) error {
	if err := a.reachable(); err != nil {
		return err
	}
	if a.isSelf() {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := a.become(); err != nil {
			result <- fmt.Errorf("become %s: %w", a.name, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// become changes the identity of this thread only: the functions of packages
// syscall and os would change all of them. When no identity is root's any more,
// the kernel takes the capabilities away too (capabilities(7)).
func (a account) become() error {
	groups := a.groups
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); e != 0 {
		return e
	}
	gid, uid := uintptr(a.gid), uintptr(a.uid)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); e != 0 {
		return e
	}
	return nil
}
