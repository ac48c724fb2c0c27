// Package sshserver is an SSH server (RFC 4251 to 4254) in the manner of
// net/http: a Server with a Handler, Serve, Shutdown and Close.
//
//	Server            accepts connections                       server.go, settings.go
//	├ admission       who may come in, and who has to wait      admission.go, startups.go, penalties.go
//	└ connection      handshake, login, channels, keepalive     connection.go, login.go, auth.go, keepalive.go
//	  └ session       one channel: requests, streams, the end   session.go, streams.go
//
// The protocol itself is golang.org/x/crypto/ssh. What that library leaves to
// its user is done here: every queue is always serviced, what a client can use up
// is bounded (docs/limits.md), handshakes have a deadline, vanished clients are
// noticed, algorithms are current, and a program's end arrives in an order that
// all clients understand. Handlers (handler.go) see none of that; they are told
// who wants in and what to run. The payloads of requests are known in wire.go
// only, the names of algorithms in algorithms.go, the files of host keys in
// hostkey.go.
package sshserver
