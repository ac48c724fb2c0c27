package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleVariable makes this program play a role in another one's run.
const roleVariable = "BERTH_BENCH_ROLE"

// play plays the role of the environment, if there is one: it answers lines on
// standard input with lines on standard output until there are no more.
func play() bool {
	var err error
	switch os.Getenv(roleVariable) {
	case "":
		return false
	case "engine":
		err = playEngine(os.Stdin, os.Stdout)
	case "clients":
		err = playClients(os.Args[1:], os.Stdin, os.Stdout)
	default:
		err = errors.New("no such role")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench, as %s: %v\n", os.Getenv(roleVariable), err)
		os.Exit(exitError)
	}
	return true
}

// actor is this program in a role, in a process of its own.
type actor struct {
	child *child
	in    io.WriteCloser
	out   *json.Decoder
}

// actor starts one. A role that begins with a word of its own puts it into
// first.
func (s *stage) actor(ctx context.Context, role string, args []string, first any) (*actor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	a := &actor{}
	if a.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.out = json.NewDecoder(bufio.NewReader(stdout))
	if a.child, err = start(cmd); err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error {
		_ = a.in.Close()
		return a.child.stop()
	})
	if first == nil {
		return a, nil
	}
	return a, a.hear(ctx, first)
}

// ask sends a line and reads the answer.
func (a *actor) ask(ctx context.Context, question, answer any) error {
	if err := json.NewEncoder(a.in).Encode(question); err != nil {
		return err
	}
	return a.hear(ctx, answer)
}

func (a *actor) hear(ctx context.Context, answer any) error {
	stop := context.AfterFunc(ctx, func() { _ = a.child.stop() })
	err := a.out.Decode(answer)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return errors.Join(err, a.child.lost())
	}
	return nil
}
