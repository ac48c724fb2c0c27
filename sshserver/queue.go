package sshserver

import (
	"sync"

	"golang.org/x/crypto/ssh"
)

// queue serves requests one after another. Its goroutine is there only while there
// are some: most clients send none most of the time.
type queue struct {
	// Immutable.
	most  int // that may wait; maxWaitingBytes bounds them, too
	tasks *sync.WaitGroup
	serve func(*ssh.Request) // called by one goroutine at a time

	mu      sync.Mutex // for memory only
	waiting []*ssh.Request
	bytes   int // of their payloads
	serving bool
}

// add takes a request, or returns false if too many wait.
func (q *queue) add(req *ssh.Request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most || q.bytes+len(req.Payload) > maxWaitingBytes {
		return false
	}
	q.waiting = append(q.waiting, req)
	q.bytes += len(req.Payload)
	if !q.serving {
		q.serving = true
		q.tasks.Go(q.run)
	}
	return true
}

// run serves all that wait.
func (q *queue) run() {
	for req := q.next(); req != nil; req = q.next() {
		q.serve(req)
	}
}

func (q *queue) next() *ssh.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting, q.serving = nil, false
		return nil
	}
	req := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.bytes -= len(req.Payload)
	return req
}
