//go:build linux

package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/agentproto"
	"github.com/berth-ssh/berth/internal/relay"
)

// program is what a session runs.
type program struct {
	path string
	argv []string
	env  []string
	dir  string
	user account
}

// Session runs a program.
func (h *host) Session(ctx context.Context, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	defer h.enter()()
	p, err := h.prepare(what)
	if err != nil {
		refuse(r, err)
		return agentproto.Exit{}, false
	}
	if what.X11 != nil {
		env, remove, err := offerDisplay(what.X11, p.user, p.env)
		if err != nil {
			complain("serve: there is no place for the cookie of the forwarded display: %v", err)
		}
		defer remove()
		p.env = env
	}
	switch {
	case what.Terminal != nil:
		return h.onTerminal(ctx, p, what, r)
	case r.Files != nil:
		return h.onFiles(ctx, p, r)
	}
	return h.onPipes(ctx, p, r)
}

// refuse answers with the reason for there being no program.
func refuse(r *agentproto.Running, err error) {
	var refusal *agentproto.Refusal
	if !errors.As(err, &refusal) {
		refusal = &agentproto.Refusal{Reason: agentproto.ReasonOther, Message: err.Error()}
	}
	r.Refuse(refusal.Reason, refusal.Message)
}

// prepare finds out what to run, as whom, and where.
func (h *host) prepare(what agentproto.Start) (*program, error) {
	user, err := h.memory.account(what.User)
	if err != nil {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonNotFound, Message: err.Error()}
	}
	if err := user.reachable(); err != nil {
		return nil, err
	}
	login := h.loginShell(user)
	p := &program{user: user, env: loginEnvironment(user, login, what), dir: what.Dir}
	if p.dir == "" {
		p.dir = user.home
	}
	if user.do(func() error { return unix.Access(p.dir+"/.", unix.X_OK) }) != nil {
		p.dir = "/"
	}
	shell := what.Shell
	if len(shell) == 0 {
		shell = login
	}
	switch what.Kind {
	case agentproto.KindSFTP:
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		p.path, p.argv = self, []string{"berth-agent", "sftp-server"}
		return p, nil
	case agentproto.KindArgv:
		p.argv = what.Argv
	case agentproto.KindExec:
		p.env = withSCP(what.Command, p.env)
		if len(shell) == 0 {
			// An image without a shell: the words themselves.
			if p.argv, err = words(what.Command); err != nil {
				return nil, &agentproto.Refusal{Reason: agentproto.ReasonNotExecutable,
					Message: fmt.Sprintf("There is no shell in this image, and the command can't be run without one: %v.", err)}
			}
			break
		}
		p.argv = append(slices.Clone(shell), "-c", what.Command)
	case agentproto.KindShell:
		if len(shell) == 0 {
			return nil, &agentproto.Refusal{Reason: agentproto.ReasonNotFound,
				Message: "There is no shell in this image; give a command to run, as in: ssh HOST /path/to/program"}
		}
		p.argv = slices.Clone(shell)
	}
	if len(p.argv) == 0 {
		return nil, &agentproto.Refusal{Reason: agentproto.ReasonNotFound, Message: "There is no program to run."}
	}
	isLogin := len(what.Shell) == 0 && what.Kind != agentproto.KindArgv && len(login) > 0 // and so it is there
	p.path, err = lookPath(p.argv[0], p.env)
	if err != nil || !isLogin && !exists(p.path) {
		return nil, startRefusal(p.argv[0], p.path, err)
	}
	if isLogin {
		p.argv[0] = filepath.Base(p.argv[0]) // as sshd has it
		if what.Kind == agentproto.KindShell {
			p.argv[0] = "-" + p.argv[0] // a login shell (login(1))
		}
	}
	return p, nil
}

func startRefusal(name, path string, err error) *agentproto.Refusal {
	code, reason := startFailure(path, err)
	r := &agentproto.Refusal{Reason: agentproto.ReasonNotFound, Message: fmt.Sprintf("%s: %s", name, reason)}
	if code == exitNotExecutable {
		r.Reason = agentproto.ReasonNotExecutable
	}
	return r
}

// loginShell is the user's shell, or what most images have.
func (h *host) loginShell(user account) []string {
	candidates := []string{user.shell}
	if user.shell == "" {
		candidates = []string{os.Getenv("SHELL"), "/bin/bash", "/bin/sh"}
	}
	for _, shell := range candidates {
		if h.memory.runs(shell) {
			return []string{shell}
		}
	}
	return nil
}

// loginEnvironment is the container's, the client's, and what every login has,
// in this order: the later wins (as with OpenSSH's sshd).
func loginEnvironment(user account, shell []string, what agentproto.Start) []string {
	env := os.Environ()
	set := func(name, value string) { env = setenv(env, name, name+"="+value) }
	for _, kv := range what.Env {
		if name, _, ok := strings.Cut(kv, "="); ok && name != "" {
			env = setenv(env, name, kv)
		}
	}
	set("HOME", user.home)
	set("USER", user.name)
	set("LOGNAME", user.name)
	if shell != nil {
		set("SHELL", shell[0])
	}
	if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		set("PATH", defaultPath)
	}
	if t := what.Terminal; t != nil && t.Type != "" {
		set("TERM", t.Type)
	}
	return env
}

// attributes are for starting the program with these files, as the leader of a
// session of its own.
func (p *program) attributes(files ...*os.File) *syscall.ProcAttr {
	attr := &syscall.ProcAttr{Dir: p.dir, Env: p.env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	if !p.user.isSelf() {
		attr.Sys.Credential = &syscall.Credential{Uid: p.user.uid, Gid: p.user.gid, Groups: p.user.groups}
	}
	return attr
}

// start starts the program and says so to the server. On failure it has
// answered.
func (h *host) start(p *program, attr *syscall.ProcAttr, r *agentproto.Running) (*running, error) {
	pid, ended, err := h.processes.start(p.path, p.argv, attr)
	if err != nil {
		refuse(r, startRefusal(p.argv[0], p.path, err))
		return nil, err
	}
	s := &running{host: h, pid: pid, over: make(chan struct{})}
	go func() {
		s.status = <-ended
		close(s.over)
	}()
	return s, r.Started(pid)
}

// running is a program under way.
type running struct {
	host   *host
	pid    int
	over   chan struct{} // closed when the program has ended
	status unix.WaitStatus
}

// exit is the end in the protocol's words.
func (s *running) exit() agentproto.Exit {
	if s.status.Signaled() {
		name := strings.TrimPrefix(unix.SignalName(s.status.Signal()), "SIG")
		if name == "" {
			name = fmt.Sprintf("RT%d", s.status.Signal())
		}
		return agentproto.Exit{Signal: name, Core: s.status.CoreDump()}
	}
	return agentproto.Exit{Code: uint32(s.status.ExitStatus())}
}

// hangUp ends the program and all that is left of its session: HUP and CONT,
// then TERM, then KILL. It returns when nothing is left.
func (s *running) hangUp() {
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGKILL} {
		if !signalSession(s.pid, sig) {
			break
		}
		signalSession(s.pid, unix.SIGCONT)
		for deadline := time.Now().Add(s.host.grace()); signalSession(s.pid, 0) && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	<-s.over
}

// signals delivers what the server asks for, until it asks no more.
func (s *running) signals(r *agentproto.Running, terminal *terminal) {
	for name := range r.Signals {
		if name == "BREAK" {
			if terminal != nil {
				_ = terminal.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCSIG, int(unix.SIGINT)) })
			}
			continue
		}
		if sig, err := signalByName(name); err == nil {
			_ = deliver(s.pid, sig)
		}
	}
}

// onFiles runs a program whose streams are the server's own.
func (h *host) onFiles(ctx context.Context, p *program, r *agentproto.Running) (agentproto.Exit, bool) {
	s, err := h.start(p, p.attributes(r.Files.Stdin, r.Files.Stdout, r.Files.Stderr), r)
	r.Files.Close()
	if s == nil {
		return agentproto.Exit{}, false
	}
	go func() {
		for range r.Resizes { // there is nothing to resize
		}
	}()
	go s.signals(r, nil)
	if err == nil {
		select {
		case <-s.over:
			if r.Finish(s.exit()) {
				return agentproto.Exit{}, false
			}
		case <-ctx.Done():
		}
	}
	s.hangUp()
	return agentproto.Exit{}, false
}

// onPipes runs a program without a terminal: its streams are pipes.
func (h *host) onPipes(ctx context.Context, p *program, r *agentproto.Running) (agentproto.Exit, bool) {
	var ours, theirs [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	defer func() { closeAll(ours) }()
	for i := range ours {
		in, out, err := os.Pipe()
		if err != nil {
			closeAll(theirs)
			refuse(r, err)
			return agentproto.Exit{}, false
		}
		if i == 0 {
			theirs[i], ours[i] = in, out
		} else {
			ours[i], theirs[i] = in, out
		}
		if !p.user.isSelf() {
			// So that /dev/stdout and the like can be opened again.
			_ = theirs[i].Chown(int(p.user.uid), int(p.user.gid))
		}
	}
	s, err := h.start(p, p.attributes(theirs[:]...), r)
	closeAll(theirs)
	if s == nil {
		return agentproto.Exit{}, false
	}
	if err != nil {
		s.hangUp()
		return agentproto.Exit{}, false
	}
	go func() {
		for range r.Resizes { // there is nothing to resize
		}
	}()
	go s.signals(r, nil)
	go func() {
		_, err := relay.Copy(ours[0], r.Stdin)
		var full *os.PathError
		if err != nil && !errors.As(err, &full) {
			// Not the end of the input, but of the session: the program must not
			// take a part for the whole before it is told.
			return
		}
		// Either the server has sent all, or the program takes no more: then
		// the server learns that.
		_ = ours[0].Close()
		_ = r.Stdin.Close()
	}()
	var output sync.WaitGroup
	copyOut := func(to io.WriteCloser, from *os.File) {
		_, _ = relay.Copy(to, from)
		// If the server takes no more, the program's next write must fail.
		_ = from.Close()
		_ = to.Close()
	}
	output.Go(func() { copyOut(r.Stdout, ours[1]) })
	output.Go(func() { copyOut(r.Stderr, ours[2]) })
	written := make(chan struct{})
	go func() {
		output.Wait()
		close(written)
	}()
	return s.finish(ctx, written, func() { closeAll(ours) })
}

// finish waits for the end of the program and of its output, or of ctx, when
// the session is given up: then it ends what is left and calls abandon.
func (s *running) finish(ctx context.Context, written <-chan struct{}, abandon func()) (agentproto.Exit, bool) {
	for _, done := range []<-chan struct{}{s.over, written} {
		select {
		case <-done:
		case <-ctx.Done():
			s.hangUp()
			abandon()
			<-written
			return agentproto.Exit{}, false
		}
	}
	return s.exit(), true
}

// onTerminal runs a program on a terminal of its own.
func (h *host) onTerminal(ctx context.Context, p *program, what agentproto.Start, r *agentproto.Running) (agentproto.Exit, bool) {
	master, slave, err := openTerminal(what.Terminal, p.user)
	if err != nil {
		r.Refuse(agentproto.ReasonOther, fmt.Sprintf("There is no terminal to be had in this container: %v", err))
		return agentproto.Exit{}, false
	}
	defer master.Close()
	p.env = setenv(p.env, "SSH_TTY", "SSH_TTY="+slave.Name())
	attr := p.attributes(slave, slave, slave)
	attr.Sys.Setctty = true
	s, err := h.start(p, attr, r)
	_ = slave.Close()
	if s == nil {
		return agentproto.Exit{}, false
	}
	if err != nil {
		s.hangUp()
		return agentproto.Exit{}, false
	}
	go func() {
		for size := range r.Resizes {
			_ = master.resize(size)
		}
	}()
	go s.signals(r, master)
	go master.takeInput(r.Stdin)
	written := make(chan struct{})
	go func() {
		defer close(written)
		if what.Kind == agentproto.KindShell {
			greetUser(r.Stdout, p.user) // before the prompt
		}
		_, _ = relay.Copy(r.Stdout, &said{terminal: master, left: held})
		_ = r.Stdout.Close()
	}()
	go func() {
		<-s.over
		_ = master.SetReadDeadline(time.Now())
	}()
	return s.finish(ctx, written, func() { _ = master.Close() })
}

// greetUser shows the message of the day on a terminal, unless the user does not
// want it.
func greetUser(terminal io.Writer, user account) {
	if exists(filepath.Join(user.home, ".hushlogin")) {
		return
	}
	f, err := os.Open("/etc/motd")
	if err != nil {
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err == nil {
		_, _ = terminal.Write(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	}
}
