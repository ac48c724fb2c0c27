//go:build linux

package guest

import (
	"errors"
	"os"
	ossignal "os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// processes starts programs, and takes the exit status of each process that
// ends, since as the first process of a container the agent inherits all
// orphans.
type processes struct {
	// mu is held while a program is started, so that its status can't be
	// taken before somebody waits for it.
	mu      sync.Mutex
	waiting map[int]chan<- unix.WaitStatus

	signals chan os.Signal
	done    chan struct{}
}

func newProcesses() *processes {
	p := &processes{
		waiting: map[int]chan<- unix.WaitStatus{},
		signals: make(chan os.Signal, 1), // they merge; each means "look"
		done:    make(chan struct{}),
	}
	ossignal.Notify(p.signals, unix.SIGCHLD)
	go func() {
		defer close(p.done)
		for range p.signals {
			p.reap()
		}
	}()
	return p
}

func (p *processes) close() {
	ossignal.Stop(p.signals)
	close(p.signals)
	<-p.done
}

// start starts a program. Its status comes on ended, once.
func (p *processes) start(path string, argv []string, attr *syscall.ProcAttr) (pid int, ended <-chan unix.WaitStatus, err error) {
	status := make(chan unix.WaitStatus, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err = syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	p.waiting[pid] = status
	return pid, status, nil
}

func (p *processes) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := p.waiting[pid]; ok {
			ended <- status
			delete(p.waiting, pid)
		}
	}
}

// signalSession sends a signal to every process of a session (setsid(2)), which
// may be in several process groups, and says whether there was any.
func signalSession(sid int, sig syscall.Signal) bool {
	any := unix.Kill(-sid, sig) == nil
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return any
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == sid || sessionOf(pid) != sid {
			continue
		}
		if pgid, err := unix.Getpgid(pid); err == nil && pgid == sid {
			continue // has got it with the group
		}
		if unix.Kill(pid, sig) == nil {
			any = true
		}
	}
	return any
}

// sessionOf is a process's session id, 0 if it is gone.
func sessionOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything: pid (name) state ppid pgrp session
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 4 || fields[0] == "Z" {
		return 0
	}
	sid, _ := strconv.Atoi(fields[3])
	return sid
}
