// Package scpserver is the other end of scp's own protocol: what a client that
// does not speak SFTP (OpenSSH's before 9.0 and with -O, dropbear's, PuTTY's
// pscp with -scp) runs as "scp -t" or "scp -f".
//
// The protocol has no specification; it is BSD's rcp of 1983. A message is a line
// for what comes next, and each is answered by a byte: 0, or 1 and a line that
// says what has failed.
//
//	T<mtime> 0 <atime> 0    the times of the next file or directory, with -p
//	C<mode> <size> <name>   a file: its bytes follow, and a 0 or an error
//	D<mode> 0 <name>        a directory: what is in it follows, with -r
//	E                       the end of a directory
package scpserver
