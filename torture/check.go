package main

import (
	"bytes"
	"fmt"
	"io"
)

// check compares a stream with what it should be, on its way.
type check struct {
	want io.Reader

	n, wrong int64
	first    string // where it went wrong, and how
}

// Write compares what has come.
func (c *check) Write(p []byte) (int, error) {
	want := make([]byte, len(p))
	k, _ := io.ReadFull(c.want, want) // what it lacks is in p too much
	if k == len(p) && bytes.Equal(p, want) {
		c.n += int64(len(p))
		return len(p), nil
	}
	for i := range p {
		if i < k && p[i] == want[i] {
			continue
		}
		if c.wrong == 0 {
			c.first = fmt.Sprintf("byte %d and on are %q", c.n+int64(i), p[i:min(len(p), i+64)])
		}
		c.wrong++
	}
	c.n += int64(len(p))
	return len(p), nil
}

// end is called after the last Write, if nothing may be missing.
func (c *check) end() {
	missing, _ := io.Copy(io.Discard, c.want) // made here: no error
	if c.wrong == 0 && missing > 0 {
		c.first = fmt.Sprintf("after %d bytes %d are missing", c.n, missing)
	}
	c.wrong += missing
}

// serverWord begins a line of the server's own on standard error.
var serverWord = []byte("berth: ")

// dyingWord begins what Go's runtime says in a program when its container is being
// killed: nothing new can be started in there.
var dyingWord = []byte("runtime: failed to create new OS thread")

// withWords gives a check what is not the server's own word: a line at the
// beginning, when an engine takes its time, and, if it may have broken off,
// whatever begins where the program's output ends.
func (c *check) withWords(all []byte, broken bool) {
	if bytes.HasPrefix(all, serverWord) {
		if i := bytes.IndexByte(all, '\n'); i >= 0 {
			all = all[i+1:]
		}
	}
	if broken {
		// From behind: what comes before it must be right.
		for _, word := range [][]byte{serverWord, dyingWord} {
			if i := bytes.LastIndex(all, word); i >= 0 {
				all = all[:i]
			}
		}
	}
	_, _ = c.Write(all)
}
