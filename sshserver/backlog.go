package sshserver

import (
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// backlog bounds what a client makes the server hold by sending what nobody
// reads.
//
// The protocol bounds it by the window of each channel, 2 MiB. But the library
// keeps each packet on its own, and one with a single byte takes 48: a window of
// those is 96 MiB (measured), and a connection has hundreds of channels. What is
// in the library's queues can't be asked for. It is never more than what has come
// over the network, though, since a channel was last known to be empty, less what
// has been read since then.
type backlog struct {
	limit    int64        // negative means none
	received atomic.Int64 // bytes from the network
	// check is at which number of received bytes there could be too much.
	check atomic.Int64

	mu      sync.Mutex // for memory only
	inflows map[*inflow]struct{}
	// read is how many of the received bytes are known to be in no queue.
	read int64
	// aside is how many were in no channel's main stream when that was last
	// looked at: overhead, and what clients send as extended data.
	aside int64
}

// packetOverhead is what a packet of data takes on the network beside the data,
// at least: 4 bytes for its length, 1 for that of its padding, 9 before the data,
// 4 of padding, and 16 that authenticate it (with AES-GCM or ChaCha20).
const packetOverhead = 34

// inflow is what a client sends on one channel.
type inflow struct {
	backlog *backlog
	channel ssh.Channel

	// What follows is guarded by the backlog's lock.

	// received and read are the backlog's when the channel was last empty.
	received, read int64
	empty          bool // when Read last returned
	waiting        bool // an empty channel has a reader: nothing stays in it
	drained        bool // somebody reads its extended data
}

func newBacklog(limit int) *backlog {
	b := &backlog{limit: int64(limit), inflows: map[*inflow]struct{}{}}
	b.check.Store(b.limit)
	return b
}

// open begins with a channel that has just been accepted; close must be called
// when the client has closed it.
func (b *backlog) open(channel ssh.Channel) *inflow {
	i := &inflow{backlog: b, channel: channel}
	b.mu.Lock()
	defer b.mu.Unlock()
	i.received, i.read = b.received.Load(), b.read
	b.inflows[i] = struct{}{}
	return i
}

func (i *inflow) close() {
	i.backlog.mu.Lock()
	defer i.backlog.mu.Unlock()
	delete(i.backlog.inflows, i)
}

// Read reads from the channel. It is for one goroutine at a time.
func (i *inflow) Read(p []byte) (int, error) {
	b := i.backlog
	b.mu.Lock()
	i.waiting = i.empty
	b.mu.Unlock()
	n, err := i.channel.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 {
		b.read += int64(n) + packetOverhead
	}
	// The library gives as much as it has.
	i.empty = n < len(p)
	if i.empty || i.waiting {
		i.received, i.read = b.received.Load(), b.read
	}
	i.waiting = false
	return n, err
}

// drain throws away the channel's extended data, until its end.
func (i *inflow) drain() {
	buf := make([]byte, 4096)
	for {
		n, err := i.channel.Stderr().Read(buf)
		if err != nil {
			return
		}
		i.backlog.mu.Lock()
		i.backlog.read += int64(n) + packetOverhead
		i.backlog.mu.Unlock()
	}
}

// add counts bytes from the network, and says whether too many are unread.
func (b *backlog) add(n int) (over bool) {
	received := b.received.Add(int64(n))
	if b.limit < 0 || received < b.check.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var most int64
	for i := range b.inflows {
		if !i.waiting {
			most = max(most, received-i.received-(b.read-i.read))
		}
	}
	// Clients have no use for extended data, and nobody reads it. Who sends much
	// more than what is read may send that: from then on it is thrown away.
	aside := received - b.read
	if aside-b.aside >= b.limit {
		b.aside = aside
		for i := range b.inflows {
			if !i.drained {
				i.drained = true
				go i.drain()
			}
		}
	}
	most = max(most, aside-b.aside)
	b.check.Store(received + max(b.limit-most, 0))
	return most > b.limit
}
