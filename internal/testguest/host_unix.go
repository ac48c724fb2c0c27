//go:build !windows

package testguest

const defaultHost = "unix:///var/run/docker.sock"
