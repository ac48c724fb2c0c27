package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// eager is an agent whose program writes before the word that it runs, which waits
// until that has been seen.
type eager struct {
	agentproto.Handler
	seen chan struct{}
}

func (e eager) Session(_ context.Context, _ agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	go func() {
		for range r.Resizes {
		}
	}()
	go func() {
		for range r.Signals {
		}
	}()
	_, _ = io.WriteString(r.Stdout, "early")
	<-e.seen
	return agentproto.Exit{Code: 3}, r.Started(1) == nil
}

// A program's first output does not wait for the word that it runs.
func TestFirstOutput(t *testing.T) {
	here, there := net.Pipe()
	seen, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		_ = agentproto.Serve(t.Context(), there, eager{seen: seen})
	}()
	client, err := agentproto.Connect(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = client.Close()
		<-served
	}()
	stdout, program := io.Pipe()
	go func() {
		defer close(seen)
		var first [5]byte
		if _, err := io.ReadFull(stdout, first[:]); err != nil || string(first[:]) != "early" {
			t.Errorf("the first output is %q, %v", first, err)
		}
	}()
	agent := NewAgent(client, "", func(Program) agentproto.Start { return agentproto.Start{Kind: agentproto.KindExec} })
	execution, err := agent.Start(t.Context(), Program{Kind: KindExec}, Streams{strings.NewReader(""), program, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := execution.Wait(t.Context()); err != nil || status.Code != 3 {
		t.Errorf("exit %+v, %v", status, err)
	}
	if err := execution.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
