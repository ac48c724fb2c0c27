package sshserver

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// The requests of one channel that wait for a slow handler are bounded, in
// number and in bytes; a client that sends more has its channel closed.
const (
	maxWaitingRequests = 1024
	maxWaitingBytes    = 1 << 20
)

// notStartedCode is the exit code of a session whose program was refused with a
// message for the user. 255 is what ssh itself exits with when something other
// than the program has failed.
const notStartedCode = 255

// session is one session channel.
type session struct {
	// Immutable.
	connection *connection
	log        *slog.Logger
	channel    ssh.Channel
	handler    SessionChannelHandler
	// outputUnwanted is set when the client no longer reads standard output.
	outputUnwanted atomic.Bool

	// serving is the goroutine that calls the handler, finishing the one that
	// ends the session after its program, while they have something to do.
	serving, finishing sync.WaitGroup

	mu     sync.Mutex // for memory only
	closed bool       // the channel has closed; finishing does not start any more

	// What follows is used by handle only.
	stdin   *input
	started bool
	// requests counts the channel's requests; variables and variableBytes what
	// it has asked for of its environment.
	requests                 uint64
	variables, variableBytes int
}

// serveSession serves one session channel, which has been counted, from its request
// to its OnClose.
func (c *connection) serveSession(login SSHConnectionHandler, log *slog.Logger, id uint64, newChannel ssh.NewChannel) {
	var handler SessionChannelHandler
	err := errors.New("the handler failed")
	c.call(log, "OnSessionChannel", func() {
		handler, err = login.OnSessionChannel(id, newChannel.ExtraData())
	})
	if err != nil {
		defer c.removeChannel()
		reason, words := ssh.ConnectionFailed, "the session could not be opened"
		var rejection *ChannelRejection
		if errors.As(err, &rejection) {
			reason, words = ssh.RejectionReason(rejection.Reason), rejection.Message
		}
		log.Warn("session refused", "error", err)
		_ = newChannel.Reject(reason, words)
		return
	}
	channel, requests, err := newChannel.Accept()
	if err != nil {
		defer c.removeChannel()
		log.Debug("the client has gone before its session opened", "error", err)
		c.call(log, "OnClose", handler.OnClose)
		return
	}
	s := &session{
		connection: c,
		log:        log,
		channel:    channel,
		handler:    handler,
	}
	s.log.Debug("session opened")
	inflow := c.net.backlog.open(channel)
	s.stdin = &input{channel: channel, inflow: inflow, net: c.net}
	// As with the connection, what waits begins with a small stack.
	c.tasks.Go(func() {
		defer c.removeChannel()
		defer inflow.close()
		s.run(requests)
	})
}

// run takes requests off the library, which stalls the whole connection when its
// queue is full, until the channel closes. The handler is called for one after
// another, elsewhere.
func (s *session) run(requests <-chan *ssh.Request) {
	waiting := &queue{most: maxWaitingRequests, tasks: &s.serving, serve: s.serve}
	flooded := false
	for req := range requests {
		if flooded {
			continue
		}
		if req.Type == requestEndOfWrite {
			// Not for the handler, and at once: it may be in a write.
			s.outputUnwanted.Store(true)
			_ = req.Reply(true, nil)
			continue
		}
		if waiting.add(req) {
			continue
		}
		flooded = true
		s.connection.tally.refused(limitRequests)
		s.log.Warn("the client sends requests faster than they are handled; its session is closed")
		_ = s.channel.Close()
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.serving.Wait()
	s.call("OnClose", s.handler.OnClose)
	s.finishing.Wait()
	s.log.Debug("session closed")
}

// serve calls the handler for a request.
func (s *session) serve(req *ssh.Request) {
	// Nobody waits for an answer on a closed channel, and what a client that has
	// gone wanted to start is not started.
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if !closed {
		s.handle(req)
	}
	s.requests++
}

// handle dispatches one request. The types are those of RFC 4254 section 6.
func (s *session) handle(req *ssh.Request) {
	id := s.requests
	switch req.Type {
	case requestEnv:
		p, err := parseEnv(req.Payload)
		s.answer(req, err, func() error {
			if err := s.addVariable(p); err != nil {
				return err
			}
			return s.handler.OnEnvRequest(id, p.name, p.value)
		})
	case requestPty:
		p, err := parsePty(req.Payload)
		s.answer(req, err, func() error {
			return s.handler.OnPtyRequest(id, p.term,
				p.size.columns, p.size.rows, p.size.width, p.size.height, p.modes)
		})
	case requestWindow:
		p, err := parseWindow(req.Payload)
		s.answer(req, err, func() error { return s.handler.OnWindow(id, p.columns, p.rows, p.width, p.height) })
	case requestSignal:
		name, err := parseText("signal name", req.Payload)
		s.answer(req, err, func() error { return s.handler.OnSignal(id, name) })
	case requestBreak:
		length, err := parseBreak(req.Payload)
		s.answer(req, err, func() error { return s.handler.OnBreak(id, length) })
	case requestAgent:
		err := parseNothing(req.Payload)
		s.answer(req, err, func() error { return s.forwardAgent(id) })
	case requestX11:
		x11, err := parseX11(req.Payload)
		s.answer(req, err, func() error { return s.forwardX11(id, x11) })
	case requestShell:
		err := parseNothing(req.Payload)
		s.start(req, err, func(stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error {
			return s.handler.OnShell(id, stdin, stdout, stderr, onExit)
		})
	case requestExec:
		command, err := parseText("command", req.Payload)
		s.start(req, err, func(stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error {
			return s.handler.OnExecRequest(id, command, stdin, stdout, stderr, onExit)
		})
	case requestSubsystem:
		name, err := parseText("subsystem name", req.Payload)
		s.start(req, err, func(stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error {
			return s.handler.OnSubsystem(id, name, stdin, stdout, stderr, onExit)
		})
	default:
		_ = req.Reply(false, nil)
		s.log.Debug("request refused: unknown type", "type", req.Type)
		s.call("OnUnsupportedChannelRequest", func() {
			s.handler.OnUnsupportedChannelRequest(id, req.Type, req.Payload)
		})
	}
}

// addVariable counts a variable that is asked for, or refuses it. What is asked
// for twice counts twice: the handler may keep both.
func (s *session) addVariable(p envPayload) error {
	limits, size := s.connection.settings, len(p.name)+len(p.value)
	if over(s.variables, limits.maxEnvVariables) || over(s.variableBytes+size-1, limits.maxEnvBytes) {
		s.connection.tally.refused(limitEnvironment)
		return errors.New("the session asks for too many environment variables, or too large ones")
	}
	s.variables++
	s.variableBytes += size
	return nil
}

// forwardAgent asks the handler to forward the client's authentication agent.
func (s *session) forwardAgent(id uint64) error {
	handler, ok := s.handler.(SessionForwardHandler)
	if !ok || s.connection.settings.forwarding.DisableAgent {
		return errors.New("authentication agents are not forwarded")
	}
	return handler.OnAgentRequest(id, func(l Listener) { s.connection.relay(s.log, l, agentChannel, false) })
}

// forwardX11 asks the handler to forward the client's display.
func (s *session) forwardX11(id uint64, x11 X11) error {
	handler, ok := s.handler.(SessionForwardHandler)
	if !ok || s.connection.settings.forwarding.DisableX11 {
		return errors.New("displays are not forwarded")
	}
	return handler.OnX11Request(id, x11, func(l Listener) { s.connection.relay(s.log, l, x11Channel, x11.Single) })
}

// malformed refuses a request whose payload could not be parsed.
func (s *session) malformed(req *ssh.Request, reason error) {
	_ = req.Reply(false, nil)
	s.log.Info("request refused: malformed", "type", req.Type, "error", reason)
	s.call("OnFailedDecodeChannelRequest", func() {
		s.handler.OnFailedDecodeChannelRequest(s.requests, req.Type, req.Payload, reason)
	})
}

// answer asks the handler and answers a request that starts nothing. The user
// is told nothing of a refusal: these requests are the client's own idea.
func (s *session) answer(req *ssh.Request, malformed error, ask func() error) {
	if malformed != nil {
		s.malformed(req, malformed)
		return
	}
	err := errors.New("the handler failed")
	s.call(req.Type, func() { err = ask() })
	if err != nil {
		s.log.Info("request refused", "type", req.Type, "error", err)
	}
	_ = req.Reply(err == nil, nil)
}

// start asks the handler to start a program.
func (s *session) start(req *ssh.Request, malformed error,
	ask func(stdin io.Reader, stdout, stderr io.Writer, onExit func(ExitStatus)) error,
) {
	switch {
	case malformed != nil:
		s.malformed(req, malformed)
		return
	case s.started:
		// RFC 4254 section 6.5: only one of these per channel.
		s.log.Info("request refused: the session runs a program already", "type", req.Type)
		_ = req.Reply(false, nil)
		return
	}

	p := newProgram(s, req)
	err := errors.New("the handler failed")
	s.call(req.Type, func() { err = ask(s.stdin, p.stdout, p.stderr, p.onExit) })
	if err != nil {
		s.log.Warn("request refused", "type", req.Type, "error", err)
		if s.refuse(req, p, err) {
			return
		}
	}
	s.started = true
	// What the handler has begun goes first: nobody waits for the answer before
	// there is output, which comes after it anyway.
	runtime.Gosched()
	p.answer(true)
	p.settle()
}

// refuse refuses to start a program. It returns false if the session has to end
// in the way of a program that has run.
func (s *session) refuse(req *ssh.Request, p *program, reason error) bool {
	if !p.exited.CompareAndSwap(false, true) {
		// The handler has reported an exit; that is the more precise word.
		return false
	}
	var message UserMessage
	if !errors.As(reason, &message) {
		// A client may try something else, as PuTTY's psftp does when there is
		// no sftp; so the channel stays open. What has been answered already,
		// by output, can't be refused any more.
		if !p.answer(false) {
			return true
		}
	} else if req.Type == requestSubsystem {
		// Extended data is not bound to a program.
		_, _ = p.stderr.put([]byte(message.UserMessage() + "\r\n"))
		if !p.answer(false) {
			return true
		}
	} else {
		// ssh ends as soon as it reads that a shell or a command is refused,
		// with the message still in its buffer: it shows only "exec request
		// failed on channel 0". As the output of a session the message reaches
		// the user.
		_, _ = io.WriteString(p.stderr, message.UserMessage()+"\r\n")
	}
	p.exit = ExitStatus{Code: notStartedCode}
	p.settle()
	return false
}

func (s *session) call(what string, f func()) { s.connection.call(s.log, what, f) }

// program is one attempt to start a program in a session.
type program struct {
	session        *session
	request        *ssh.Request
	stdout, stderr *output
	// exited is set when it is known how the program ends; exit is set then.
	exited atomic.Bool
	exit   ExitStatus
	// settled counts what the end of the session waits for: the program's exit,
	// and that the handler has taken the request.
	settled atomic.Int32
	// answered guards accepted. Whoever comes second must wait until the
	// answer has been sent, so it is held over that write.
	answered sync.Once
	accepted bool
}

func newProgram(s *session, req *ssh.Request) *program {
	p := &program{session: s, request: req}
	p.stdout = newOutput(p, s.channel)
	p.stdout.unwanted = &s.outputUnwanted
	p.stderr = newOutput(p, s.channel.Stderr())
	return p
}

// answer answers the request that starts the program, unless that has been
// done. It returns the answer that was given.
func (p *program) answer(ok bool) bool {
	p.answered.Do(func() {
		p.accepted = ok
		_ = p.request.Reply(ok, nil)
	})
	return p.accepted
}

// onExit is what the handler calls. It returns at once.
func (p *program) onExit(status ExitStatus) {
	if !p.exited.CompareAndSwap(false, true) {
		p.session.log.Warn("a handler reported an exit that was not expected", "code", status.Code)
		return
	}
	p.exit = status
	p.settle()
}

// settle ends the session when it is called for the second time. There is no
// goroutine that waits for that.
func (p *program) settle() {
	if p.settled.Add(1) < 2 {
		return
	}
	s := p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.finishing.Go(p.finish)
	}
}

// finish ends the session.
//
// The order on the wire is all output, then the exit status, then end of file,
// then close. RFC 4254 section 6.10 leaves the place of the status open, but
// there are clients that stop listening at the end of file and report a
// success that nobody sent.
func (p *program) finish() {
	s := p.session
	p.stdout.end()
	p.stderr.end()
	s.log.Debug("program ended", "code", p.exit.Code, "signal", p.exit.Signal)
	kind, payload := exitRequest(p.exit)
	// Errors mean that the channel is closed, which is what is wanted.
	_, _ = s.channel.SendRequest(kind, false, payload)
	_ = s.channel.CloseWrite()
	_ = s.channel.Close()
}
