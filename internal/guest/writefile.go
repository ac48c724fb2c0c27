//go:build linux

package guest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeFile is the write-file subcommand.
func writeFile(args []string) int {
	flags := flag.NewFlagSet("write-file", flag.ContinueOnError)
	if code, done := parse(flags, args); done {
		return code
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		complain("write-file: give one PATH")
		return exitUsage
	}
	if err := replaceFile(flags.Arg(0), os.Stdin); err != nil {
		complain("write-file: %v", err)
		return exitFailure
	}
	return 0
}

// replaceFile writes r to a new file beside path and moves it there when it is
// complete, so that nobody sees half of it, nor any of it with a wider mode.
func replaceFile(path string, r io.Reader) (err error) {
	if isDir(path) {
		return fmt.Errorf("%s is a directory", path)
	}
	// CreateTemp asks for mode 0600 but a umask may narrow it: hence the Chmod.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
