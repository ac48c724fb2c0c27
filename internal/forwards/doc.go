// Package forwards proves that what OpenSSH's client forwards goes to and comes
// from the inside of containers. It consists of tests.
//
// Most of them run in the scratch guest, whose one program serves and dials, in
// containers whose only network is their own loopback. A master (ssh -M) is one
// connection, to which sessions and forwards are added as a test goes on, so
// that nobody has to guess a free port.
package forwards
