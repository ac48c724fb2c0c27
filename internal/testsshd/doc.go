// Package testsshd runs OpenSSH's own sshd for tests: the server that every
// other one is held against.
//
// Start runs it on this machine, StartIn inside of a container made from an
// image, so that its sessions run the same programs on the same files as those
// of a server under test. Either way it listens on a port of the loopback
// interface, has a host key, a client key and a configuration of its own, reads
// nothing of the machine's SSH configuration, and ends with the test, also when
// the test process is killed. Run is Start for programs that are no tests.
//
// A Server gives the options with which the ssh client reaches it, without a
// question and without the caller's own configuration.
package testsshd
