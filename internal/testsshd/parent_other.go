//go:build !linux

package testsshd

import "syscall"

func endWithParent() *syscall.SysProcAttr { return nil }
