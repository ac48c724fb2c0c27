package agentproto

// Kind says what a session runs.
type Kind byte

const (
	// KindShell is the user's login shell.
	KindShell Kind = iota
	// KindExec is a command line for the user's shell.
	KindExec
	// KindArgv is a program with its arguments, without a shell.
	KindArgv
	// KindSFTP is the agent's own SFTP server.
	KindSFTP
)

// Start describes a session.
type Start struct {
	Kind Kind
	// Command is the command line (KindExec).
	Command string
	// Argv is the program (KindArgv).
	Argv []string
	// Shell is the shell with its arguments for KindShell and KindExec; empty
	// means the one of the user's entry in /etc/passwd.
	Shell []string
	// User is a name or number of a user in the container; empty means the
	// one that the agent runs as.
	User string
	// Dir is the directory to start in; empty means the user's home.
	Dir string
	// Env holds NAME=VALUE, which go before all that the agent sets itself.
	Env []string
	// Terminal is nil for none.
	Terminal *Terminal
	// X11 is the client's display, nil for none.
	X11 *X11

	// stdin, stdout and stderr are the ids of streams that were opened
	// before. With a terminal there is no stderr: it is 0.
	stdin, stdout, stderr uint32
	// files is one more than the number of the batch of files that are the
	// program's standard streams; 0 if streams are.
	files uint32
}

// X11 is a display that a listener forwards to the client (RFC 4254 section
// 6.3). The agent sets DISPLAY, and puts the cookie where X clients look for it.
type X11 struct {
	// Display is the display's number: its listener is at port 6000 + Display.
	Display uint32
	Screen  uint32
	// Protocol is the name of the authentication protocol, and Cookie its data.
	Protocol string
	Cookie   string
}

// Terminal is what RFC 4254 section 6.2 has.
type Terminal struct {
	// Type is the value for TERM.
	Type string
	Size Size
	// Modes are encoded as in RFC 4254 section 8.
	Modes string
}

// Size of a terminal in characters and pixels (RFC 4254 section 6.7).
type Size struct{ Columns, Rows, Width, Height uint32 }

func (s Size) encode(e *encoder) {
	e.uint32(s.Columns)
	e.uint32(s.Rows)
	e.uint32(s.Width)
	e.uint32(s.Height)
}

func (s *Size) decode(d *decoder) {
	s.Columns, s.Rows, s.Width, s.Height = d.uint32(), d.uint32(), d.uint32(), d.uint32()
}

func (*Start) kind() messageType { return typeSession }

func (m *Start) encode(e *encoder) {
	e.uint32(m.stdin)
	e.uint32(m.stdout)
	e.uint32(m.stderr)
	e.uint32(m.files)
	e.byte(byte(m.Kind))
	e.string(m.Command)
	e.strings(m.Argv)
	e.strings(m.Shell)
	e.string(m.User)
	e.string(m.Dir)
	e.strings(m.Env)
	e.bool(m.Terminal != nil)
	if t := m.Terminal; t != nil {
		e.string(t.Type)
		t.Size.encode(e)
		e.string(t.Modes)
	}
	e.bool(m.X11 != nil)
	if x := m.X11; x != nil {
		e.uint32(x.Display)
		e.uint32(x.Screen)
		e.string(x.Protocol)
		e.string(x.Cookie)
	}
}

func (m *Start) decode(d *decoder) {
	m.stdin, m.stdout, m.stderr, m.files = d.uint32(), d.uint32(), d.uint32(), d.uint32()
	m.Kind = Kind(d.byte())
	if m.Kind > KindSFTP {
		d.failed = true
	}
	m.Command = d.string()
	m.Argv = d.strings()
	m.Shell = d.strings()
	m.User = d.string()
	m.Dir = d.string()
	m.Env = d.strings()
	if d.bool() {
		m.Terminal = &Terminal{Type: d.string()}
		m.Terminal.Size.decode(d)
		m.Terminal.Modes = d.string()
	}
	if d.bool() {
		m.X11 = &X11{Display: d.uint32(), Screen: d.uint32(), Protocol: d.string(), Cookie: d.string()}
	}
}

// stdio begins a stream that a session will use. A session names its streams by
// their ids.
type stdio struct{}

func (*stdio) kind() messageType { return typeStdio }
func (*stdio) encode(*encoder)   {}
func (*stdio) decode(*decoder)   {}

// resize changes a terminal's size.
type resize struct{ size Size }

func (*resize) kind() messageType   { return typeResize }
func (m *resize) encode(e *encoder) { m.size.encode(e) }
func (m *resize) decode(d *decoder) { m.size.decode(d) }

// signal is delivered to the program's process group.
type signal struct {
	// name is one of RFC 4254 section 6.10; or BREAK, for the terminal's
	// foreground (RFC 4335).
	name string
}

func (*signal) kind() messageType   { return typeSignal }
func (m *signal) encode(e *encoder) { e.string(m.name) }
func (m *signal) decode(d *decoder) { m.name = d.string() }

// inputEnd ends the standard input of a program that has pipes.
type inputEnd struct{}

func (*inputEnd) kind() messageType { return typeInputEnd }
func (*inputEnd) encode(*encoder)   {}
func (*inputEnd) decode(*decoder)   {}

// started says that the program runs.
type started struct{ pid uint32 }

func (*started) kind() messageType   { return typeStarted }
func (m *started) encode(e *encoder) { e.uint32(m.pid) }
func (m *started) decode(d *decoder) { m.pid = d.uint32() }

// Reason says why something that the server asked for was not done. For
// connections these are the reasons of RFC 4254 section 5.1.
type Reason uint32

const (
	// ReasonOther is none of the others.
	ReasonOther Reason = iota
	// ReasonProhibited is what the agent does not do.
	ReasonProhibited
	// ReasonConnectFailed is a connection that could not be made.
	ReasonConnectFailed
	// ReasonNotFound is a program, shell, user or directory that is not there.
	ReasonNotFound
	// ReasonNotExecutable is a program that can't be run.
	ReasonNotExecutable
)

// Refusal is the agent's answer to what it could not do.
type Refusal struct {
	Reason Reason
	// Message is one line for the user.
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func (*Refusal) kind() messageType { return typeFailed }
func (r *Refusal) encode(e *encoder) {
	e.uint32(uint32(r.Reason))
	e.string(r.Message)
}

func (r *Refusal) decode(d *decoder) {
	r.Reason = Reason(d.uint32())
	r.Message = d.string()
}

// Exit says how a program has ended.
type Exit struct {
	// Code is its exit code, if Signal is empty.
	Code uint32
	// Signal is the name, without SIG, of what killed it.
	Signal string
	// Core says whether it left a core dump.
	Core bool
}

func (*Exit) kind() messageType { return typeExit }
func (m *Exit) encode(e *encoder) {
	e.uint32(m.Code)
	e.string(m.Signal)
	e.bool(m.Core)
}

func (m *Exit) decode(d *decoder) {
	m.Code, m.Signal, m.Core = d.uint32(), d.string(), d.bool()
	if len(m.Signal) > 16 {
		d.failed = true
	}
	for i := range len(m.Signal) {
		if c := m.Signal[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			d.failed = true
		}
	}
}

// Address is an end of a connection inside the container.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Host and Port are for tcp. For a listener the empty host means all
	// addresses, and port 0 any that is free.
	Host string
	Port uint32
	// Path is for unix. For a listener the empty path means one in a new
	// directory that only its user can enter, and that goes with the listener.
	Path string
}

func (a Address) encode(e *encoder) {
	e.string(a.Network)
	e.string(a.Host)
	e.uint32(a.Port)
	e.string(a.Path)
}

func (a *Address) decode(d *decoder) {
	a.Network, a.Host, a.Port, a.Path = d.string(), d.string(), d.uint32(), d.string()
	if a.Port > 65535 || a.Network != "tcp" && a.Network != "unix" {
		d.failed = true
	}
}

// dial asks for a connection. After connected the stream is that connection.
type dial struct {
	user string // whose rights it is made with, as Start.User
	to   Address
}

func (*dial) kind() messageType { return typeDial }
func (m *dial) encode(e *encoder) {
	e.string(m.user)
	m.to.encode(e)
}

func (m *dial) decode(d *decoder) {
	m.user = d.string()
	m.to.decode(d)
}

// connected says that there is a connection.
type connected struct{}

func (*connected) kind() messageType { return typeConnected }
func (*connected) encode(*encoder)   {}
func (*connected) decode(*decoder)   {}

// listen asks for a listener, which lives as long as the stream.
type listen struct {
	user string // whose rights it is made with, as Start.User
	at   Address
}

func (*listen) kind() messageType { return typeListen }
func (m *listen) encode(e *encoder) {
	e.string(m.user)
	m.at.encode(e)
}

func (m *listen) decode(d *decoder) {
	m.user = d.string()
	m.at.decode(d)
}

// listening says where the listener is.
type listening struct{ at Address }

func (*listening) kind() messageType   { return typeListening }
func (m *listening) encode(e *encoder) { m.at.encode(e) }
func (m *listening) decode(d *decoder) { m.at.decode(d) }

// accepted begins a stream that the agent opens for a connection that a
// listener has got.
type accepted struct {
	// listener is the id of the stream that asked for it.
	listener uint32
	from     Address
}

func (*accepted) kind() messageType { return typeAccepted }
func (m *accepted) encode(e *encoder) {
	e.uint32(m.listener)
	m.from.encode(e)
}

func (m *accepted) decode(d *decoder) {
	m.listener = d.uint32()
	m.from.decode(d)
}
