// Package parity holds Berth against OpenSSH's sshd. It consists of tests.
//
// Each case is what a person or a script does with the stock ssh client: a
// command with streams, or typing at a terminal. It is done with an sshd that
// runs in a container of the Debian guest, and with Berth serving containers of
// the same guest, each way and mode. What the client's user can see must be
// equal: every byte of both outputs, the exit code, the screen.
//
//	case ──▶ ssh ──┬─▶ sshd              ──▶ outcome ─┐
//	               ├─▶ another sshd      ──▶ outcome ─┼─▶ equal, part by part?
//	               └─▶ Berth (way, mode) ──▶ outcome ─┘
//
// The second sshd shows that a case gives the same outcome every time. Where a
// way cannot do what sshd does, the case declares the difference, with its
// reason and what is seen instead; a declared difference that does not show up
// fails the case as well, so that the list stays true.
//
// Not compared: times, and the variables with which sshd describes the
// connection (SSH_CLIENT, SSH_CONNECTION, SSH_TTY).
package parity
