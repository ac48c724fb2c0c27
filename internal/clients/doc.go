// Package clients proves that the SSH clients of the distribution work against
// Berth as it is by default. It consists of tests.
//
// Each script in testdata (testscript's format) is what somebody does with a
// client, from its command line to what is then in the container. The directory
// says what the script needs of the image, and so in which guests it runs:
//
//	          any  shell  openssh  debian  scratch  confined
//	debian     x     x               x
//	busybox    x     x       x
//	built-in   x     x       x
//	scratch    x                             x
//	confined   x     x                                x
//
// "confined" is Debian for somebody who is not root, with a root file system
// that can't be written. Each guest has one server, which its scripts share, in
// parallel; as every connection has a container of its own, they do not meet. What
// needs more of a server is another directory, and another guest, or a Go test of
// its own. README.md says where what OpenSSH's own tests look at is looked at.
//
// A script begins with the clients that it needs and their packages, and is
// skipped with a loud line where one is missing. It finds:
//
//	ssh_config  for whatever uses OpenSSH's ssh: the server is the host "guest"
//	key         the private key, in OpenSSH's format; known_hosts the server's
//	$PORT       of the server, which is at 127.0.0.1, with $HOSTKEY for its key's
//	            fingerprint; $USER may log in
//	$INSIDE     a directory in the container that outlives it: it is $OUTSIDE
//	            on this machine, so that what a client did can be looked at
//
// and, beside testscript's own commands, these:
//
//	client PROGRAM PACKAGE [FILE]  skips the script unless the program, and the
//	                               file, are there; module does so for Python's
//	exits CODE COMMAND…            runs a command that ends with that exit code
//	random FILE SIZE               makes a file of that many bytes
//	expand FILE…                   replaces $NAME in files
//	pipe FROM TO COMMAND…          runs a command between two files
//	parallel N COMMAND…            runs it N times at once, with its number for
//	                               each %, and its output to the file stdout.NUMBER
//	await FILE                     waits until a file is there
//	same [-p] ONE OTHER            compares files or trees; -p modes, times, too
//	attributes FILE MODE TIME      compares a mode (octal) and a time (in Unix
//	                               seconds)
package clients
