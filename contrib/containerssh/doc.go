// Package containerssh joins Berth to programs that were written for the Go
// modules of ContainerSSH: github.com/containerssh/sshserver v1.0.0 ("the
// original" here), github.com/containerssh/log v1.1.6 and
// github.com/containerssh/metrics v1.0.0.
//
//	Handler, NetworkConnection           handlers of ours ──▶ the original's server
//	FromHandler, FromNetworkConnection   the original's handlers ──▶ our server
//	Logger, Counter                      what the original's programs have ──▶ ours
//	Message                              our errors ──▶ the original's messages
//
// Package docker below it has the names of github.com/containerssh/docker/v2
// v2.0.1: a program that imports that one imports this one instead, and is not
// changed otherwise.
package containerssh
