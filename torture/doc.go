// Command torture runs thousands of sessions against the built server, on the
// machine's engine and on an in-memory one, with random sizes, chunkings, speeds,
// half-closes, resizes, signals, disconnects and deaths of containers; it
// compares every byte and every end with what was ordered, and counts what is
// left behind. It is what `make torture` runs.
//
//	cell        one way, mode and pool, on one engine: a server of its own, whose
//	            goroutines and descriptors are counted before and after
//	connection  a plan for one SSH connection, made from the run's seed, the
//	            cell and a number: what its sessions do, and how it ends
//	session     a plan for one session, with the order for the program in the
//	            container (package actor), and what the client does meanwhile
//	tally       what has gone wrong, which is to be nothing
//
// A seed replays the orders of a run; where they meet is up to the machine.
// torture --help lists the flags.
package main
