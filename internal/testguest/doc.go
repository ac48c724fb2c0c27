// Package testguest makes the container images that tests run programs in. No
// image is pulled: everything comes from the machine's own distribution and
// from this module.
//
//   - Debian is a small Debian with bash, coreutils, procps, less, perl,
//     OpenSSH's sshd and sftp-server, and what people run over SSH: vim, tmux,
//     rsync, git and python3. It is made with debootstrap.
//   - Busybox holds nothing but busybox and its links.
//   - Scratch holds one static program of ours and no shell.
//   - MakeProgram makes one with any other program of this module.
//   - WithAgent adds the guest agent of this work tree to any of them.
//
// Making is shared: an image's tag is the hash of its recipe, so that it is
// made once on a machine, by whichever test process comes first, and kept in
// the engine; Debian's file system is also kept below the user's cache
// directory (berth-test/). Images carry the label berth.test=1.
//
// The engine is the one of DOCKER_HOST, or the one at the default socket. A
// test that asks for a guest on a machine that cannot make it fails with a line
// that says what is missing.
package testguest
