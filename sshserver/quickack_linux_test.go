package sshserver

import (
	"net"
	"syscall"
	"testing"
)

// Hazard 25: every read makes the kernel acknowledge at once again, which it
// gives up by itself. What that is worth, BenchmarkOpenSSHLogin says.
func TestQuickAckAfterEachRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	control := func(f func(fd int) error) {
		t.Helper()
		var result error
		if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil || result != nil {
			t.Fatal(err, result)
		}
	}
	server := newTransport(conn)
	for range 3 {
		control(func(fd int) error {
			return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0)
		})
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		control(func(fd int) error {
			on, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
			if on != 1 {
				t.Error("acknowledgements are delayed after a read")
			}
			return err
		})
	}
}
