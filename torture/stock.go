package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/berth-ssh/berth/torture/internal/actor"
)

// exitSSH is what ssh ends with when there is no exit code: for a program that
// was killed, and for its own errors.
const exitSSH = 255

// stock runs a session with OpenSSH's ssh, as a process. To leave is to kill it.
func (s *subject) stock(ctx context.Context, p sessionPlan) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-T", "-p", s.server.port, "-i", s.server.keyFile,
		"-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+s.server.knownHosts, "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", fmt.Sprintf("RekeyLimit=%d", max(16<<10, p.reads)), s.server.user+"@127.0.0.1", p.order.String())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		o.fail("ssh: %v", err)
		return o
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		o.fail("ssh: %v", err)
		return o
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		o.fail("ssh: %v", err)
		return o
	}
	inDone := make(chan int64, 1)
	go func() { inDone <- p.feed(stdin, rand.New(rand.NewPCG(p.seed, 2))) }()
	received := p.sent
	if p.order.Part > 0 {
		received = p.order.Part
	}
	out := &check{want: p.order.Output(received)}
	var from io.Reader = stdout
	if p.kind == kindLeave {
		from = io.LimitReader(stdout, p.leaveAt)
	}
	_ = p.pour(out, from, rand.New(rand.NewPCG(p.seed, 3)))
	if p.kind == kindLeave {
		_ = cmd.Process.Kill()
	}
	err = cmd.Wait()
	o.in = <-inDone
	if p.kind == kindLeave {
		o.take("standard output", out)
		return o
	}
	out.end()
	errs := &check{want: p.order.Stream(actor.Stderr, p.order.Err)}
	errs.withWords(stderr.Bytes(), false)
	errs.end()
	want := p.order.Code
	if p.order.Kill != "" {
		want = exitSSH
		if s.cell.way != "inject" {
			want = 128 + signalNumbers[p.order.Kill]
		}
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		o.fail("ssh: %v, want %d as ordered: %s; %q", err, want, p.order, shortened(stderr.String()))
	}
	o.take("ssh's standard output", out)
	o.take("ssh's standard error", errs)
	return o
}
