// Package agentproto is what a server and the guest agent in a container say to
// each other, over any one stream of bytes in both directions.
//
//	hello, both ways       magic, versions
//	yamux                  streams with flow control, half-close and reset, pings
//	  stdin stdout stderr  a stream each, opened by the server
//	  session              start, started, resize, signal, exit
//	  dial                 one connection made from inside
//	  listen               a listener inside; the agent opens a stream for each connection
//
// [Connect] is the server's end and [Serve] the agent's. Neither trusts the
// stream to tell how a program has ended: that is a message, and a stream that
// ends without it is a lost session ([ErrLost]). The server trusts nothing that
// comes from a container: messages are bounded and parsed here, streams that
// nobody asked for are reset, and what a container may make the server hold in
// memory is limited.
//
// docs/agent-protocol.md describes every byte.
package agentproto
