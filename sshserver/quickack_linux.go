package sshserver

import (
	"net"
	"syscall"
)

// quickAck returns a function that makes the kernel acknowledge received data
// at once.
//
// Clients that leave Nagle's algorithm on, as OpenSSH does during the login,
// hold back a small packet until the previous one is acknowledged, and the
// kernel delays an acknowledgement by 40 ms in the hope of an answer to carry
// it. A login has several such moments. The kernel falls back to delays by
// itself, so the option has to be set again after each read (tcp(7),
// TCP_QUICKACK). It costs one system call, where a read already took one.
func quickAck(conn net.Conn) func() {
	if _, ok := conn.RemoteAddr().(*net.TCPAddr); !ok {
		return nil
	}
	with, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := with.SyscallConn()
	if err != nil {
		return nil
	}
	set := func(fd uintptr) {
		// What can't be set is slower, no more.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}
	return func() { _ = raw.Control(set) }
}
