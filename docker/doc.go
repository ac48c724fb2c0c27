// Package docker runs the programs of SSH connections in containers of an
// engine: Docker, or Podman's compatible API.
//
//	handler, err := docker.New(client, connectionID, config, logger, requests, failures)
//
// gives the handler of one network connection for an SSH server such as that
// of package sshserver; [Open] does the same for a server with many
// connections, and checks the engine once.
//
// Config says which container to make ([LaunchConfig]), when ([ExecutionMode])
// and how programs run in it ([AgentMode]). The way down:
//
//	backend.Connection ─▶ provider ─▶ agentContainer      ─▶ backend.Agent          our agent runs all programs, over one stream
//	                               ├▶ connectionContainer ─▶ execution  one container, an engine's exec for each program
//	                               └▶ sessionContainer    ─▶ attachment one container for each program, attached to
//
// Everything that is logged or returned carries one of the codes of this
// package in the attribute "code".
package docker
