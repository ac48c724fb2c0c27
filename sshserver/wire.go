package sshserver

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// This file is the one place that knows the payloads of requests. Parsing is
// strict: a payload that is too short or too long is an error, since guessing
// what a client meant is how two sides come to disagree.

// The types of requests on a session channel.
const (
	requestEnv       = "env"           // RFC 4254 section 6.4
	requestPty       = "pty-req"       // section 6.2
	requestShell     = "shell"         // section 6.5
	requestExec      = "exec"          // section 6.5
	requestSubsystem = "subsystem"     // section 6.5
	requestWindow    = "window-change" // section 6.7
	requestSignal    = "signal"        // section 6.9
	requestExit      = "exit-status"   // section 6.10, from the server
	requestKilled    = "exit-signal"   // section 6.10, from the server
	requestBreak     = "break"         // RFC 4335
	// requestEndOfWrite tells that the client's standard output has gone away:
	// OpenSSH's PROTOCOL, section 2.1.
	requestEndOfWrite = "eow@openssh.com"
	requestX11        = "x11-req"                    // RFC 4254 section 6.3.1
	requestAgent      = "auth-agent-req@openssh.com" // of OpenSSH; draft-ietf-sshm-ssh-agent
)

// requestKeepAlive is a global request that asks for a sign of life; any answer
// is one.
//
// Of OpenSSH's other global requests, no-more-sessions@openssh.com can't be
// honoured: the library keeps channels and global requests in two queues, so
// nobody can tell which sessions were opened before it was sent.
const requestKeepAlive = "keepalive@openssh.com"

// The global requests for listeners: RFC 4254 section 7.1, and section 2.4 of
// OpenSSH's PROTOCOL.
const (
	requestListenTCP  = "tcpip-forward"
	requestCancelTCP  = "cancel-tcpip-forward"
	requestListenUnix = "streamlocal-forward@openssh.com"
	requestCancelUnix = "cancel-streamlocal-forward@openssh.com"
)

// The types of channels.
const (
	channelSession       = "session"                           // RFC 4254 section 6.1
	channelDialTCP       = "direct-tcpip"                      // section 7.2
	channelForwardedTCP  = "forwarded-tcpip"                   // section 7.2, from the server
	channelX11           = "x11"                               // section 6.3.2, from the server
	channelDialUnix      = "direct-streamlocal@openssh.com"    // OpenSSH's PROTOCOL, section 2.4
	channelForwardedUnix = "forwarded-streamlocal@openssh.com" // likewise, from the server
	channelAgent         = "auth-agent@openssh.com"            // from the server
)

// dialPayload is that of a channel for a connection.
type dialPayload struct{ to, from Address }

func parseDialTCP(payload []byte) (dialPayload, error) {
	c := cursor{rest: payload}
	p := dialPayload{to: c.tcpAddress("host to connect to"), from: c.tcpAddress("originator")}
	return p, c.end()
}

func parseDialUnix(payload []byte) (dialPayload, error) {
	c := cursor{rest: payload}
	p := dialPayload{to: c.unixAddress(), from: Address{Network: "unix"}}
	c.text("reserved string")
	c.number("reserved number")
	return p, c.end()
}

// parseListenTCP parses the payload of requestListenTCP and requestCancelTCP.
func parseListenTCP(payload []byte) (Address, error) {
	c := cursor{rest: payload}
	a := c.tcpAddress("address to listen on")
	return a, c.end()
}

// parseListenUnix parses the payload of requestListenUnix and requestCancelUnix.
func parseListenUnix(payload []byte) (Address, error) {
	c := cursor{rest: payload}
	a := c.unixAddress()
	return a, c.end()
}

func parseX11(payload []byte) (X11, error) {
	c := cursor{rest: payload}
	x := X11{
		Single:   c.boolean("single connection"),
		Protocol: c.text("authentication protocol"),
		Cookie:   c.text("authentication cookie"),
		Screen:   c.number("screen"),
	}
	return x, c.end()
}

type envPayload struct{ name, value string }

func parseEnv(payload []byte) (envPayload, error) {
	c := cursor{rest: payload}
	p := envPayload{name: c.text("variable name"), value: c.text("variable value")}
	return p, c.end()
}

type windowPayload struct{ columns, rows, width, height uint32 }

func parseWindow(payload []byte) (windowPayload, error) {
	c := cursor{rest: payload}
	p := c.window()
	return p, c.end()
}

type ptyPayload struct {
	term  string
	size  windowPayload
	modes []byte
}

func parsePty(payload []byte) (ptyPayload, error) {
	c := cursor{rest: payload}
	p := ptyPayload{
		term:  c.text("terminal type"),
		size:  c.window(),
		modes: []byte(c.text("terminal modes")),
	}
	return p, c.end()
}

// parseText parses a payload of one string: exec's command, subsystem's name,
// signal's name.
func parseText(field string, payload []byte) (string, error) {
	c := cursor{rest: payload}
	s := c.text(field)
	return s, c.end()
}

// parseBreak parses the length of a break, in milliseconds.
func parseBreak(payload []byte) (uint32, error) {
	c := cursor{rest: payload}
	n := c.number("break length")
	return n, c.end()
}

// parseNothing parses the payload of requests that have none.
func parseNothing(payload []byte) error {
	c := cursor{rest: payload}
	return c.end()
}

// cursor reads a payload from front to back. The first error sticks.
type cursor struct {
	rest []byte
	err  error
}

// number reads a uint32 (RFC 4251 section 5).
func (c *cursor) number(field string) uint32 {
	if c.err != nil {
		return 0
	}
	if len(c.rest) < 4 {
		c.err = fmt.Errorf("%s: %d bytes are left of the payload where a number takes 4", field, len(c.rest))
		return 0
	}
	n := binary.BigEndian.Uint32(c.rest)
	c.rest = c.rest[4:]
	return n
}

// text reads a string (RFC 4251 section 5).
func (c *cursor) text(field string) string {
	n := c.number(field)
	if c.err != nil {
		return ""
	}
	if uint64(n) > uint64(len(c.rest)) {
		c.err = fmt.Errorf("%s: says it is %d bytes long, but %d bytes are left of the payload", field, n, len(c.rest))
		return ""
	}
	s := string(c.rest[:n])
	c.rest = c.rest[n:]
	return s
}

// boolean reads a boolean (RFC 4251 section 5): all but 0 is true.
func (c *cursor) boolean(field string) bool {
	if c.err == nil && len(c.rest) == 0 {
		c.err = fmt.Errorf("%s: nothing is left of the payload where a boolean takes a byte", field)
	}
	if c.err != nil {
		return false
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b != 0
}

func (c *cursor) tcpAddress(field string) Address {
	a := Address{Network: "tcp", Host: c.text(field), Port: c.number(field + " (port)")}
	if c.err == nil && a.Port > 65535 {
		c.err = fmt.Errorf("%s: there is no port %d", field, a.Port)
	}
	return a
}

func (c *cursor) unixAddress() Address {
	a := Address{Network: "unix", Path: c.text("path of the socket")}
	if c.err == nil && (a.Path == "" || strings.IndexByte(a.Path, 0) >= 0) {
		// Empty, and with NUL in front, it would be what the client can't mean.
		c.err = fmt.Errorf("path of the socket: %q is none", a.Path)
	}
	return a
}

func (c *cursor) window() windowPayload {
	return windowPayload{
		columns: c.number("columns"),
		rows:    c.number("rows"),
		width:   c.number("width"),
		height:  c.number("height"),
	}
}

func (c *cursor) end() error {
	if c.err == nil && len(c.rest) > 0 {
		c.err = fmt.Errorf("%d bytes follow the end of the payload", len(c.rest))
	}
	return c.err
}

// exitRequest is the type and payload of the request that tells how a program
// ended (RFC 4254 section 6.10).
func exitRequest(status ExitStatus) (string, []byte) {
	if status.Signal == "" {
		return requestExit, ssh.Marshal(struct{ Code uint32 }{status.Code})
	}
	return requestKilled, ssh.Marshal(struct {
		Signal     string
		CoreDumped bool
		Message    string
		Language   string
	}{status.Signal, status.CoreDumped, status.Message, ""})
}
