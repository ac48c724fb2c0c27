package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// connect runs one connection by its plan, and tells of its sessions.
func (s *subject) connect(ctx context.Context, p connectionPlan) {
	if p.stock {
		for i, session := range p.sessions {
			s.tally.add(ctx, p, i, s.stock(ctx, session))
		}
		return
	}
	var dead atomic.Bool
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", s.server.address)
	if err != nil {
		s.tally.lost(p, err)
		return
	}
	conn := &cutConn{TCPConn: tcp.(*net.TCPConn), left: -1, reset: p.reset}
	if p.ending == endCut {
		conn.left = p.cutAt
	}
	defer conn.Close()
	broken := func() bool { return dead.Load() || conn.isCut() || ctx.Err() != nil }
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	// A server that goes silent in the handshake is found out, too.
	handshake := time.AfterFunc(patience, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, s.server.address, &ssh.ClientConfig{
		User: s.server.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.server.key)}, HostKeyCallback: s.server.check,
	})
	handshake.Stop()
	if err != nil {
		if !broken() {
			s.tally.lost(p, err)
		}
		s.tally.skip(p)
		return
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()

	over := make(chan struct{})
	var stalled, others sync.WaitGroup
	places := make(chan struct{}, p.parallel)
	atOnce := make(chan struct{})
	close(atOnce)
	run := func(i int, over <-chan struct{}) {
		ended := make(chan outcome, 1)
		go func() {
			ended <- s.cell.session(ctx, client, p.sessions[i], broken, hooks{over: over, ready: func(host string) {
				if p.ending == endDeath && i == p.fatal {
					dead.Store(true)
					if err := s.kill(ctx, host); err != nil && ctx.Err() == nil {
						s.tally.lost(p, fmt.Errorf("the container could not be removed: %w", err))
					}
				}
			}})
		}()
		var o outcome
		select {
		case o = <-ended:
		case <-time.After(2 * patience): // it has not even been ended by the end of its connection
			o.fail("the client is stuck for good: cut %v, %d left", conn.isCut(), conn.left)
			var stacks bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			fmt.Fprintf(s.tally.log, "all goroutines of the clients:\n%s\n", &stacks)
		}
		s.tally.add(ctx, p, i, o)
	}
	// Those that stall come first, and are there until the others have ended. There
	// are not more than maxStalled of them: further ones leave at once.
	order := make([]int, 0, len(p.sessions))
	for i, session := range p.sessions {
		if session.kind == kindStalled && len(order) < maxStalled {
			stalled.Go(func() { run(i, over) })
			order = append(order, i)
		}
	}
	for i := range p.sessions {
		if slices.Contains(order, i) {
			continue
		}
		places <- struct{}{}
		others.Go(func() {
			defer func() { <-places }()
			run(i, atOnce)
		})
	}
	others.Wait()
	close(over)
	stalled.Wait()
}

// maxStalled is how many sessions of one connection stall at the same time.
const maxStalled = 2

// cutConn is cut when so many bytes have passed.
type cutConn struct {
	*net.TCPConn
	reset bool

	mu   sync.Mutex // for memory only
	left int64      // -1: never
	cut  bool
}

func (c *cutConn) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// pass counts, and says how many of n bytes may pass before the cut.
func (c *cutConn) pass(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left < 0 {
		return n
	}
	k := int(min(int64(n), c.left))
	c.left -= int64(k)
	if c.left == 0 {
		c.cut = true
	}
	return k
}

func (c *cutConn) end() {
	if c.reset {
		_ = c.SetLinger(0)
	}
	_ = c.TCPConn.Close()
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	k := c.pass(n)
	if c.isCut() {
		c.end()
		return k, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	k := c.pass(len(b))
	n, err := c.TCPConn.Write(b[:k])
	if c.isCut() {
		c.end()
		return n, net.ErrClosed
	}
	return n, err
}
