package sshserver

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is the kernel's measure of the way to the client and back, which the
// opening of the connection has given it (tcp(7), TCP_INFO).
func roundTrip(conn net.Conn) (rtt time.Duration, ok bool) {
	with, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := with.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	failed := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if failed != nil || err != nil {
		return 0, false
	}
	return time.Duration(info.Rtt) * time.Microsecond, true
}
