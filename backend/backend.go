package backend

import (
	"context"
	"io"
	"net"

	"github.com/berth-ssh/berth/sshserver"
)

// Mode says how long a workload lives.
type Mode string

const (
	// ModeConnection makes one workload for each connection; all of its
	// sessions run there.
	ModeConnection Mode = "connection"
	// ModeSession makes one workload for each session.
	ModeSession Mode = "session"
)

// Provider makes workloads. It is made for one connection; its methods may be
// called at the same time.
type Provider interface {
	// Accept says which program is run when a client asks for p, from
	// configuration alone; p itself, if nothing is to be said against it. It
	// must not block. The error refuses the client's request.
	Accept(p Program) (Program, error)

	// Provision makes a workload and returns when programs can be started in
	// it. If it fails it leaves nothing behind; what can't be removed at once
	// it goes on to remove by itself. ctx ends when the client has left.
	Provision(ctx context.Context, l Launch) (Workload, error)
}

// Launch describes what a workload is made for.
type Launch struct {
	Login Login
	// Program is the one program that will be started, in ModeSession; nil in
	// ModeConnection, and where it is not known yet since a forward came first.
	Program *Program
	// Progress takes the steps of what takes long, to be shown to the user.
	// Never nil; it does not block.
	Progress func(step string)
}

// Login says who has logged in.
type Login struct {
	ConnectionID string
	Username     string
	Client       net.TCPAddr
}

// Workload is a place where programs run: a container.
type Workload interface {
	// Start starts a program and copies its streams until it has ended. In
	// ModeSession it is called once, with the program of the Launch.
	// ctx is for the start only.
	Start(ctx context.Context, p Program, s Streams) (Execution, error)

	// Close ends the workload with all of its programs and removes it. It
	// returns when that is done or can't be done before ctx ends. The caller
	// closes each workload exactly once.
	Close(ctx context.Context) error
}

// Forwarder is what a Workload is besides, with Options.Forwarding: connections can be made and
// accepted where its programs run, with the rights of their user. Errors may be
// a *sshserver.ChannelRejection. ctx is for the call only.
type Forwarder interface {
	// Dial makes a connection, which the caller closes.
	Dial(ctx context.Context, to sshserver.Address) (sshserver.Conn, error)

	// Listen makes a listener, which the caller closes. A unix socket without a
	// path gets one in a directory that only its user can enter.
	Listen(ctx context.Context, at sshserver.Address) (sshserver.Listener, error)
}

// Execution is one running program.
type Execution interface {
	// Resize changes the size of the program's terminal.
	Resize(ctx context.Context, size Size) error

	// Signal delivers a signal by its RFC 4254 name to the program's process
	// group. ErrNoSignals if this workload has no way to do it.
	Signal(ctx context.Context, name string) error

	// Break does what a break does on a terminal with BRKINT: it interrupts
	// what runs in the foreground. Only called for programs with a terminal.
	Break(ctx context.Context) error

	// Wait returns how the program ended, after all of its output has been
	// written to its streams. Called once. If ctx ends it returns ctx's
	// cause.
	Wait(ctx context.Context) (sshserver.ExitStatus, error)

	// Close ends the program if it still runs (HUP and CONT, then TERM, then
	// KILL, as far as the workload can signal), and frees what Start took.
	// Called exactly once, also after Wait.
	Close(ctx context.Context) error
}

// Streams are a program's standard streams. Nobody closes them: they end with
// the channel that they belong to.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Kind says which request started a program.
type Kind uint8

const (
	// KindShell is the user's shell.
	KindShell Kind = iota
	// KindExec is a command line.
	KindExec
	// KindSubsystem is a subsystem by its name.
	KindSubsystem
)

// Program is what a session runs.
type Program struct {
	Kind Kind
	// Command is the command line (KindExec) or the name (KindSubsystem).
	Command string
	// Env holds the client's variables in the order in which they were first
	// set, checked (see ValidEnv), and then those that describe the connection.
	// The later of a name wins.
	Env []EnvVar
	// Terminal is nil if the client asked for none.
	Terminal *Terminal
	// X11 is the display that is forwarded, nil for none.
	X11 *X11
}

// X11 is a display whose listener is at port 6000 + Display of the workload's
// loopback address.
type X11 struct {
	Display, Screen uint32
	// Protocol and Cookie are what X clients authenticate with.
	Protocol string
	Cookie   []byte
}

// EnvVar is one environment variable.
type EnvVar struct{ Name, Value string }

// Terminal describes the terminal that a client asked for.
type Terminal struct {
	// Type is the value for TERM.
	Type string
	Size Size
	// Modes are the encoded terminal modes of RFC 4254 section 8.
	Modes []byte
}

// Size of a terminal. Columns and Rows are characters, Width and Height pixels;
// zero means unknown.
type Size struct{ Columns, Rows, Width, Height uint32 }
