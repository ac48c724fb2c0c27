// Package backend is what every backend shares: the state machine between the
// SSH server's handlers and the programs that run in containers.
//
//	sshserver ──handlers──▶ Connection ──Provider──▶ Workload ──Start──▶ Execution
//
// A [Connection] serves one SSH connection. It provisions a [Workload] as soon
// as the handshake has succeeded (ModeConnection) or when a program is
// requested (ModeSession), starts programs in it, passes on signals and window
// changes, turns failures into words for the user, and closes what it has
// made: each Execution when its channel closes, each Workload when its
// connection or session ends.
//
// A backend implements three small interfaces: [Provider], [Workload] and
// [Execution]. Package backendtest holds the suite that all of them pass.
package backend
