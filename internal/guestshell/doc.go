// Package guestshell is the shell of the built-in guest image: the bash
// dialect as mvdan.cc/sh interprets it, with a line editor and history.
//
//	shell.go        the command line, scripts, and the interpreter
//	interactive.go  the prompt
//	exec.go         programs, each in a process of its own
//	read.go         the builtin `read` at a terminal
//
// It has no job control: ctrl-z does nothing, and a trap takes EXIT and ERR
// only. For all that is meant to last, use an image with a shell of its own.
package guestshell
