// Package guest is the inside of the guest agent: what runs within a container
// on behalf of the server.
//
//	Main         the command line of berth-agent, subcommand by subcommand
//	serve        a server's sessions, over the stream of package agentproto
//	sftp-server  SFTP for one of them
//	console      becomes a program: start byte, process id, terminal size, exec
//	signal       delivers an RFC 4254 signal to a program and its group
//	wait-signal  idles as a container's first process and reaps orphans
//	write-file   standard input into a private file
//
// Serve is a container's first process or runs beside it. What it does for a user
// it does with that user's rights: programs are started with them, and
// connections are made on a thread that has no others.
//
// The last four are the seed's command line, so that images which carry a ContainerSSH
// guest agent and servers which expect one go together with ours.
package guest
