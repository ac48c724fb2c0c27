//go:build linux

package guest

import (
	"errors"
	"flag"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// sftpServer is the sftp-server subcommand: an SFTP server (version 3) on
// standard input and output, with the rights of whoever runs it.
func sftpServer(args []string) int {
	flags := flag.NewFlagSet("sftp-server", flag.ContinueOnError)
	if code, done := parse(flags, args); done {
		return code
	}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{os.Stdin, os.Stdout})
	if err == nil {
		err = server.Serve()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		complain("sftp-server: %v", err)
		return exitFailure
	}
	return 0
}
