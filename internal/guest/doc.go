// Package guest is the inside of the guest agent: what runs within a container
// on behalf of the server.
//
//	Main         the command line of berth-agent, subcommand by subcommand
//	console      becomes a program: start byte, process id, terminal size, exec
//	signal       delivers an RFC 4254 signal to a program and its group
//	wait-signal  idles as a container's first process and reaps orphans
//	write-file   standard input into a private file
//
// The command line is the seed's, so that images which carry a ContainerSSH
// guest agent and servers which expect one go together with ours.
package guest
