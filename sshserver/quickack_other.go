//go:build !linux

package sshserver

import "net"

// quickAck returns nil: TCP_QUICKACK exists on Linux only.
func quickAck(net.Conn) func() { return nil }
