// Package auth decides who may log in.
//
//	Authenticator    one question: does this credential prove this user?   authenticator.go
//	AuthorizedKeys   answers for public keys, from files and texts         authorizedkeys.go
//	  line           one line of such a file, and what its options allow   line.go
//	NewHandler       puts an Authenticator in front of a backend           handler.go
//
// A server offers the methods that its Authenticator names. Further ways to log
// in come as further Credential types behind the same interface; one that an
// Authenticator does not know it refuses.
package auth
