//go:build unix

package sshserver_test

import (
	"io"
	"net"
	"testing"

	"github.com/berth-ssh/berth/sshserver"
)

// hiding gives connections of which only the interface is known, so that their
// socket options can't be set.
type hiding struct{ net.Listener }

func (l hiding) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

// BenchmarkOpenSSHLogin is the time from the start of ssh to the end of an empty
// program. Hazard 25: on Linux, connections whose acknowledgements are not
// re-armed wait for the kernel's timers.
func BenchmarkOpenSSHLogin(b *testing.B) {
	for name, hide := range map[string]bool{"acknowledged": false, "delayed": true} {
		b.Run(name, func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			must(b, err)
			if hide {
				listener = hiding{listener}
			}
			h := newHouseOn(b, listener, exitAtOnce)
			for b.Loop() {
				if got := h.run(h.ssh("berth", "x")); got.code != 0 {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}

// BenchmarkSession is one more session on a connection.
func BenchmarkSession(b *testing.B) {
	h := newHouse(b, exitAtOnce)
	client := h.dial()
	for b.Loop() {
		must(b, h.session(client).Run("x"))
	}
}

// BenchmarkDownload is output through each cipher.
func BenchmarkDownload(b *testing.B) {
	for _, cipher := range sshserver.DefaultAlgorithms().Ciphers {
		b.Run(cipher, func(b *testing.B) {
			block := make([]byte, 32<<10)
			h := newHouse(b, func(s *sshserver.Server, toy *toy) {
				s.Logger = nil
				toy.hooks.start = func(_ *toySession, _, _ string, _ io.Reader, stdout, _ io.Writer, exit func(sshserver.ExitStatus)) error {
					go func() {
						for range 2048 { // 64 MiB
							if _, err := stdout.Write(block); err != nil {
								break
							}
						}
						exit(sshserver.ExitStatus{})
					}()
					return nil
				}
			})
			b.SetBytes(64 << 20)
			for b.Loop() {
				cmd := h.ssh("-c", cipher, "berth", "x")
				must(b, cmd.Run())
			}
		})
	}
}

func exitAtOnce(s *sshserver.Server, toy *toy) {
	s.Logger = nil
	toy.hooks.start = func(_ *toySession, _, _ string, _ io.Reader, _, _ io.Writer, exit func(sshserver.ExitStatus)) error {
		exit(sshserver.ExitStatus{})
		return nil
	}
}
