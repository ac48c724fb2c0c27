//go:build linux

package guestcmd

import (
	"errors"
	"io"
	"os"

	"github.com/pkg/sftp"
)

func sftpCommands() []Command {
	return []Command{{
		Name: "sftp-server", Usage: "", Paths: []string{"/usr/lib/openssh/sftp-server"},
		Help: "Serves files by the SFTP protocol on its standard streams, as SSH's subsystem of that name.",
		run: func(c *call) int {
			server, err := sftp.NewServer(stdio{os.Stdin, os.Stdout})
			if err == nil {
				err = server.Serve()
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return c.die("%v", err)
			}
			return 0
		},
	}}
}

// stdio is both standard streams as one.
type stdio struct {
	io.Reader
	io.WriteCloser
}
