package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// tally counts what has become of a cell's sessions, and what is left of them.
type tally struct {
	cell cell
	log  io.Writer

	mu          sync.Mutex // for memory, and for lines of log
	connections int
	sessions    int
	skipped     int // of connections that were cut before
	in, out     int64
	wrongBytes  int64
	wrongExits  int
	// left over, beyond what there was before.
	containers, volumes, goroutines, descriptors int
	took                                         time.Duration
	errors                                       []error // that have ended the cell
	said                                         int     // lines of log
}

// maxWords is how many lines of log a cell has: what is wrong again and again is
// told often enough.
const maxWords = 10

// add counts a session. One that was interrupted with the run says nothing.
func (t *tally) add(ctx context.Context, p connectionPlan, i int, o outcome) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions++
	t.in += o.in
	t.out += o.out
	t.wrongBytes += o.wrongBytes
	if o.wrongExit {
		t.wrongExits++
	}
	if len(o.why) > 0 {
		t.say("%s, connection %d, session %d (%s): %s", t.cell.name(), p.number, i, p.sessions[i].kind, strings.Join(o.why, "; "))
	}
}

// say logs what is wrong. Called with the lock.
func (t *tally) say(format string, args ...any) {
	if t.said++; t.said > maxWords {
		return
	}
	fmt.Fprintf(t.log, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

// lost counts a connection that could not be made, or not be made use of.
func (t *tally) lost(p connectionPlan, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrongExits++
	t.say("%s, connection %d: %v", t.cell.name(), p.number, err)
}

// skip counts sessions that have never begun, since their connection was cut.
func (t *tally) skip(p connectionPlan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped += len(p.sessions)
}

// fail ends the cell with an error.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors = append(t.errors, err)
	t.say("%s: %v", t.cell.name(), err)
}

// err says in one error whether anything is wrong.
func (t *tally) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := errors.Join(t.errors...)
	if t.wrongBytes != 0 || t.wrongExits+t.containers+t.volumes+t.goroutines+t.descriptors != 0 {
		err = errors.Join(err, errors.New(t.cell.name()+": not everything is 0"))
	}
	return err
}

// table prints tallies, and their sum.
func table(w io.Writer, list []*tally) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "engine/way/mode\tconnections\tsessions\tcut before\tMB in\tMB out\twrong bytes\twrong exits\tcontainers\tvolumes\tgoroutines\tdescriptors\tseconds\t")
	var sum tally
	row := func(name string, t *tally) {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t\n", name, t.connections, t.sessions, t.skipped,
			float64(t.in)/1e6, float64(t.out)/1e6, t.wrongBytes, t.wrongExits, t.containers, t.volumes, t.goroutines, t.descriptors, t.took.Seconds())
	}
	for _, t := range list {
		row(t.cell.name(), t)
		sum.connections += t.connections
		sum.sessions += t.sessions
		sum.skipped += t.skipped
		sum.in += t.in
		sum.out += t.out
		sum.wrongBytes += t.wrongBytes
		sum.wrongExits += t.wrongExits
		sum.containers += t.containers
		sum.volumes += t.volumes
		sum.goroutines += t.goroutines
		sum.descriptors += t.descriptors
		sum.took += t.took
	}
	row("all", &sum)
	_ = tw.Flush()
}
