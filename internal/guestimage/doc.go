// Package guestimage makes the built-in guest image from Berth's own programs
// and loads it into an engine, so that nobody needs a registry to see Berth
// work.
//
// The programs are built by `make assets` into the folder assets, and embedded
// from there. The image is named after the hash of its content: it is loaded
// once, and a newer Berth loads a newer one beside it.
package guestimage
