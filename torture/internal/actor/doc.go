// Package actor is what a tortured session runs: a program that does what its
// order says, and of which every byte and the end can be told beforehand.
//
//	Order     what to do: it comes as text on the command line
//	Stream    the bytes of one stream of an order, made from its seed
//	World     what the program has around it: a process, or a fake engine's
//	Run       the program
package actor
