// Package docker has the names of github.com/containerssh/docker/v2 v2.0.1,
// over Berth's package of the same name, where they are explained. A program
// that imports the original
//
//	import "github.com/containerssh/docker/v2"
//
// imports this one instead, and is not changed otherwise:
//
//	import "github.com/berth-ssh/berth/contrib/containerssh/docker"
//
// The structures of the Engine API are those of github.com/docker/docker, as in
// the original.
package docker
