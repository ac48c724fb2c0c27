//go:build linux

package guest

import (
	"flag"
	"os"

	"github.com/berth-ssh/berth/internal/sftpserver"
)

// sftpServer is the sftp-server subcommand: an SFTP server on standard input and
// output, with the rights of whoever runs it.
func sftpServer(args []string) int {
	flags := flag.NewFlagSet("sftp-server", flag.ContinueOnError)
	if code, done := parse(flags, args); done {
		return code
	}
	if err := sftpserver.Serve(os.Stdin, os.Stdout, false); err != nil {
		complain("sftp-server: %v", err)
		return exitFailure
	}
	return 0
}
