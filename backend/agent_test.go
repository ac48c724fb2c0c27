package backend

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/sshserver"
)

// failing is an output that fails.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A program is told that nobody reads its output, and is not held up by a client
// that has gone.
func TestCopyOutput(t *testing.T) {
	lost := fmt.Errorf("%w: gone", agentproto.ErrLost)
	for _, c := range []struct {
		to   io.Writer
		from io.Reader
		told bool
		err  error
	}{
		{io.Discard, strings.NewReader("text"), false, nil},
		{failing{sshserver.ErrOutputClosed}, strings.NewReader("text"), true, nil},
		{failing{sshserver.ErrChannelClosed}, strings.NewReader("text"), false, nil},
		{io.Discard, iotest.ErrReader(lost), false, agentproto.ErrLost},
	} {
		told := false
		err := (&agentExecution{}).copyOutput(c.to, c.from, func() { told = true })
		rest, _ := io.ReadAll(c.from)
		if told != c.told || !errors.Is(err, c.err) || len(rest) > 0 {
			t.Errorf("to %v: told %v, error %v, %q left", c.to, told, err, rest)
		}
	}
}
