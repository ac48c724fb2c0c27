package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// endTimeout is how long a process may take to end before it is killed. A
// server removes its containers in it.
const endTimeout = 30 * time.Second

// child is a process that lives longer than one measurement. It ends with this
// one, also when this one is killed.
type child struct {
	cmd   *exec.Cmd
	said  *tail // what it wrote to standard error
	ended chan struct{}
	err   error // set before ended is closed
}

// start starts a child.
func start(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, said: &tail{}, ended: make(chan struct{})}
	cmd.Stderr = c.said
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// stop asks the process to end, and kills it if it does not.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
		return nil
	case <-time.After(endTimeout):
		_ = c.cmd.Process.Kill()
		<-c.ended
		return fmt.Errorf("%s had to be killed after %v", c.cmd.Path, endTimeout)
	}
}

// lost is the error of a child that has ended too early.
func (c *child) lost() error {
	return fmt.Errorf("%s has ended: %w\n%s", c.cmd.Path, errors.Join(c.err, errors.New("before its time")), c.said)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// residentKiB is the memory that a process has in use.
func residentKiB(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return statusKiB(text, "VmRSS")
}

// statusKiB finds a field in the text of /proc/PID/status (proc(5)).
func statusKiB(text []byte, field string) (int, error) {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(field+":")); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB")))
		}
	}
	return 0, fmt.Errorf("no %s in /proc/PID/status", field)
}

// ticks are the hundredths of a second of /proc/PID/stat.
const ticks = 100

// processorTime is what a process has used of the processors.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; the state comes after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	var sum int
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// busy is the part of all processors' time that is used, over a while, in
// percent.
func busy(ctx context.Context, watched time.Duration) (float64, error) {
	look := func() (used, all int, err error) {
		text, err := os.ReadFile("/proc/stat")
		if err != nil {
			return 0, 0, err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		for i, field := range strings.Fields(first)[1:] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, 0, err
			}
			all += n
			if i != 3 && i != 4 { // idle, iowait (proc(5))
				used += n
			}
		}
		return used, all, nil
	}
	used, all, err := look()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, watched); err != nil {
		return 0, err
	}
	used2, all2, err := look()
	if err != nil || all2 == all {
		return 0, err
	}
	return 100 * float64(used2-used) / float64(all2-all), nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
