package sshserver

import (
	"context"
	"io"
	"net"
	"time"
)

// Handler is told of every network connection that the server accepts.
type Handler interface {
	// OnNetworkConnection is called when a TCP connection is accepted, before
	// the handshake. connectionID is unique for the life of the server: 32
	// hexadecimal digits. An error closes the connection.
	OnNetworkConnection(client net.TCPAddr, connectionID string) (NetworkConnectionHandler, error)
}

// NetworkConnectionHandler decides who may log in on one network connection,
// and hears of its end. Its methods are never called at the same time, except
// for OnShutdown, which may come at any time.
type NetworkConnectionHandler interface {
	// OnAuthNone is the "none" method (RFC 4252 section 5.2). Only called when
	// the server's AuthMethods hold "none".
	OnAuthNone(username string) (AuthResponse, error)

	// OnAuthPassword is the "password" method (RFC 4252 section 8). The error
	// says why and goes to the log only.
	OnAuthPassword(username string, password []byte) (AuthResponse, error)

	// OnAuthPubKey is the "publickey" method (RFC 4252 section 7). pubKey has
	// the form of one line of an authorized_keys file, without options,
	// comment and line end.
	//
	// It is called when a client asks whether a key would do, which is before
	// the client has proved that it has the key: a call, even one answered
	// with AuthResponseSuccess, is not a login. Only OnHandshakeSuccess is.
	OnAuthPubKey(username string, pubKey string) (AuthResponse, error)

	// OnAuthKeyboardInteractive is the "keyboard-interactive" method (RFC
	// 4256). challenge shows questions to the user and returns one answer for
	// each; it may be called any number of times before the method returns.
	OnAuthKeyboardInteractive(username string, challenge Challenge) (AuthResponse, error)

	// OnHandshakeFailed is called when the handshake or the authentication
	// ended without a login, or the user has too many connections already.
	// OnDisconnect follows.
	OnHandshakeFailed(reason error)

	// OnHandshakeSuccess is called once, when the client has proved who it is.
	// What takes long must be started here and waited for elsewhere: the
	// client's channels wait until it returns. An error disconnects the
	// client; if it has a UserMessage, the user reads that first, as the
	// refusal of the session.
	OnHandshakeSuccess(username string) (SSHConnectionHandler, error)

	// OnDisconnect is called exactly once, when the connection has ended and
	// every OnClose of its channels has returned. It returns when everything
	// that belongs to the connection is gone, or is given up with a log line.
	OnDisconnect()

	// OnShutdown is called when the server shuts down gracefully: programs are
	// to end now. When ctx ends, the connection is cut. It must not block
	// longer than ctx.
	OnShutdown(ctx context.Context)
}

// SSHConnectionHandler serves one authenticated connection. OnSessionChannel may
// be called for several channels at the same time, so that a slow one delays no
// other. The two that are only told something must not block.
type SSHConnectionHandler interface {
	// OnUnsupportedGlobalRequest is told of a global request (RFC 4254 section
	// 4) that the server refuses. requestID counts the connection's requests.
	OnUnsupportedGlobalRequest(requestID uint64, requestType string, payload []byte)

	// OnUnsupportedChannel is told of a channel that the server refuses since
	// it does not know its type.
	OnUnsupportedChannel(channelID uint64, channelType string, extraData []byte)

	// OnSessionChannel is asked for the handler of a new session channel (RFC
	// 4254 section 6.1). channelID counts the connection's channels, from 0.
	// An error refuses the channel: a *ChannelRejection says with which code
	// and words, any other error is a failure to connect, in words that hide
	// its text.
	OnSessionChannel(channelID uint64, extraData []byte) (SessionChannelHandler, error)
}

// DrainHandler may be implemented by an SSHConnectionHandler that tells its users
// when the server is going down.
type DrainHandler interface {
	// OnDrain is called when Drain has begun: what runs may go on until then,
	// zero for no limit. It must not block, and may be called at any time before
	// OnDisconnect has returned.
	OnDrain(until time.Time)
}

// SessionChannelHandler serves one session channel. Its methods are called one
// after another, in the order of the client's requests. An error refuses the
// request; if it has a UserMessage, the user reads that on standard error.
//
// OnExecRequest, OnShell and OnSubsystem start a program and return at once,
// at most one of them returns nil, once. From then on:
//
//   - stdin gives the client's bytes and io.EOF at the client's end of file,
//     or another error when the channel is closed. It may be read by one
//     goroutine.
//   - stdout and stderr take the program's bytes. Write blocks while the
//     client does not read, and fails when the channel is closed.
//   - onExit is called once, after the last byte of output has been written
//     and also when the program could not be started after all. The server
//     then sends the exit status, end of file, and closes the channel.
//
// The streams end with the channel; the handler closes none of them. They may
// be used, and onExit be called, before the method has returned: the client is
// told that its program runs before the first byte. Both outputs may be written
// to by several goroutines. A closed channel is ErrChannelClosed; stdout can
// also fail with ErrOutputClosed, when the client reads it no more.
//
// When one of the three returns an error with a UserMessage, OpenSSH's client
// would quit before it prints the words, if the request were plainly refused. So
// for a shell or a command the server accepts, writes the words to standard
// error, and ends the session with the exit code 255. A subsystem is refused,
// after the words. After any refusal the channel stays open for another try. A
// program in the session that already runs is the server's to refuse; the
// handler is not asked for a second one.
type SessionChannelHandler interface {
	// OnUnsupportedChannelRequest is told of a request of unknown type, which
	// the server refuses.
	OnUnsupportedChannelRequest(requestID uint64, requestType string, payload []byte)

	// OnFailedDecodeChannelRequest is told of a request whose payload cannot
	// be parsed, which the server refuses.
	OnFailedDecodeChannelRequest(requestID uint64, requestType string, payload []byte, reason error)

	// OnEnvRequest sets an environment variable (RFC 4254 section 6.4).
	OnEnvRequest(requestID uint64, name string, value string) error

	// OnPtyRequest asks for a terminal (RFC 4254 section 6.2). columns and
	// rows are characters, width and height pixels; zero means unknown.
	// modeList is the encoded terminal modes of section 8.
	OnPtyRequest(requestID uint64, term string, columns, rows, width, height uint32, modeList []byte) error

	// OnExecRequest runs a command line (RFC 4254 section 6.5).
	OnExecRequest(requestID uint64, program string,
		stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error

	// OnShell runs the user's shell.
	OnShell(requestID uint64,
		stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error

	// OnSubsystem runs a subsystem, for example "sftp".
	OnSubsystem(requestID uint64, subsystem string,
		stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error

	// OnSignal delivers a signal to the program (RFC 4254 section 6.9). The
	// name has no SIG in front.
	OnSignal(requestID uint64, signal string) error

	// OnBreak delivers a break of the given length in milliseconds (RFC 4335).
	OnBreak(requestID uint64, length uint32) error

	// OnWindow tells of the terminal's new size (RFC 4254 section 6.7).
	OnWindow(requestID uint64, columns, rows, width, height uint32) error

	// OnClose is called exactly once, when the channel has closed, for
	// whatever reason. A program that still runs must be ended; OnClose need
	// not wait for that.
	OnClose()
}

// AuthResponse is the answer to an attempt to authenticate.
type AuthResponse uint8

const (
	// AuthResponseFailure refuses the attempt.
	AuthResponseFailure AuthResponse = iota
	// AuthResponseSuccess accepts it.
	AuthResponseSuccess
	// AuthResponseUnavailable refuses it since the method is not offered or
	// whoever decides cannot be reached.
	AuthResponseUnavailable
)

// Challenge asks the user questions (RFC 4256 section 3.2). instruction may be
// empty. It returns one answer per question, in their order.
type Challenge func(instruction string, questions []Question) (answers []string, err error)

// Question is one prompt of a Challenge.
type Question struct {
	Prompt string
	// Echo says whether the answer may be shown while it is typed.
	Echo bool
}

// ExitStatus says how a program ended (RFC 4254 section 6.10).
type ExitStatus struct {
	// Code is the exit code; without meaning if Signal is set.
	Code uint32
	// Signal is the name of the signal that killed the program, without SIG
	// and as RFC 4254 lists them; empty if the program exited by itself.
	Signal string
	// CoreDumped tells whether a killed program left a core dump.
	CoreDumped bool
	// Message may explain a kill to the user.
	Message string
}

// UserMessage is implemented by errors that carry words for the user. The text
// of Error goes to the log only.
type UserMessage interface {
	error
	UserMessage() string
}

// ChannelRejection refuses a channel with a reason code (RFC 4254 section 5.1)
// and words for the user.
type ChannelRejection struct {
	Reason  RejectionReason
	Message string
	// Err is for the log; may be nil.
	Err error
}

// RejectionReason is a reason code of SSH_MSG_CHANNEL_OPEN_FAILURE.
type RejectionReason uint32

// The reason codes of RFC 4254 section 5.1.
const (
	Prohibited       RejectionReason = 1
	ConnectionFailed RejectionReason = 2
	UnknownChannel   RejectionReason = 3
	ResourceShortage RejectionReason = 4
)

func (r *ChannelRejection) Error() string {
	if r.Err != nil {
		return r.Message + ": " + r.Err.Error()
	}
	return r.Message
}

func (r *ChannelRejection) Unwrap() error { return r.Err }

// UserMessage is the text that is sent to the client.
func (r *ChannelRejection) UserMessage() string { return r.Message }
