// Package backendtest is the conformance suite of backends: what a user of SSH
// counts on, asked of the handlers that a backend makes, on the real thing.
//
// Run it with a [Target]. The guest needs a POSIX shell and the commands cat,
// sleep, stty, head and grep; busybox has them all.
package backendtest
