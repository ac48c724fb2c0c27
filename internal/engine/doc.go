// Package engine talks to the daemon behind the Docker Engine API: Docker, or
// Podman's compatible API. It is the only importer of an API client, and it
// knows nothing of SSH.
//
//	Settings ──Open──▶ Client ──▶ link (one per engine, shared)
//	                                ├ negotiation: version and kind, asked once
//	                                ├ unary calls: bounded in time and number
//	                                └ hijack ──▶ Stream: a program's streams
//
// Whatever an engine does in its own way (Podman's above all) is evened out
// here. Every error carries the engine's own message and can be told apart by
// the sentinels of errors.go; Retry is the one helper that tries again.
package engine
