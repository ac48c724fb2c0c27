package containerssh_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerssh/log"
	original "github.com/containerssh/sshserver"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/contrib/containerssh"
	"github.com/berth-ssh/berth/sshserver"
)

// serve runs the original's server with a handler of ours.
func serve(t *testing.T, s *stub) string {
	t.Helper()
	server := original.NewTestServer(containerssh.Handler(s), log.NewTestLogger(t))
	server.Start()
	t.Cleanup(func() { server.Stop(time.Minute) })
	return server.GetListen()
}

func dial(t *testing.T, address string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	c, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: "tester", Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func login(t *testing.T, s *stub) *ssh.Client {
	t.Helper()
	c, err := dial(t, serve(t, s), ssh.Password("right"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reluctant has a key and does not use it.
type reluctant struct{ ssh.Signer }

var errReluctant = errors.New("no signature")

func (reluctant) Sign(io.Reader, []byte) (*ssh.Signature, error) { return nil, errReluctant }

// The original's server takes a key for a login as soon as a client asks about
// it. Ours hears of a login when there is one.
func TestQuestionIsNoLogin(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{run: exits(sshserver.ExitStatus{})}
	address := serve(t, s)
	if _, err := dial(t, address, ssh.PublicKeys(reluctant{key})); !errors.Is(err, errReluctant) {
		t.Fatalf("got %v, want %v", err, errReluctant)
	}
	c, err := dial(t, address, ssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := run(t, c); err != nil {
			t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.logins, []string{"tester"}) {
		t.Errorf("logins %q, want one", s.logins)
	}
}

// exits is a program that ends at once.
func exits(status sshserver.ExitStatus) func(string, io.Reader, io.Writer, io.Writer, func(sshserver.ExitStatus)) error {
	return func(_ string, _ io.Reader, _, _ io.Writer, onExit func(sshserver.ExitStatus)) error {
		onExit(status)
		return nil
	}
}

func run(t *testing.T, c *ssh.Client) error {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	return session.Run("x")
}

// A program that ends at once does not overtake the answer to the request that
// has started it.
func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := login(t, &stub{run: exits(sshserver.ExitStatus{Code: 7})})
	for range 50 {
		var exit *ssh.ExitError
		if err := run(t, c); !errors.As(err, &exit) || exit.ExitStatus() != 7 {
			t.Fatalf("got %v, want exit code 7", err)
		}
	}
}

// A program that a signal has ended is said to be.
func TestExitSignal(t *testing.T) {
	t.Parallel()
	c := login(t, &stub{run: exits(sshserver.ExitStatus{Signal: "QUIT", CoreDumped: true, Message: "why"})})
	var exit *ssh.ExitError
	if err := run(t, c); !errors.As(err, &exit) || exit.Signal() != "QUIT" || exit.Msg() != "why" {
		t.Errorf("got %v, want signal QUIT", err)
	}
}

// A program that can't be started is a request that is refused, with words.
func TestRefusedProgram(t *testing.T) {
	t.Parallel()
	c := login(t, &stub{run: func(string, io.Reader, io.Writer, io.Writer, func(sshserver.ExitStatus)) error {
		return &backend.Error{Code: "TEST", User: "Not today."}
	}})
	channel, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"x"}))
	if ok || err != nil {
		t.Errorf("answered %v, %v; want a refusal", ok, err)
	}
	words := make([]byte, 64)
	n, err := channel.Stderr().Read(words)
	if got := string(words[:n]); got != "Not today.\r\n" {
		t.Errorf("the user reads %q (%v)", got, err)
	}
	_ = channel.Close()
}

// A channel that is refused is, with the reason.
func TestRefusedChannel(t *testing.T) {
	t.Parallel()
	c := login(t, &stub{})
	_, err := c.NewSession()
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage || refused.Message != "No room." {
		t.Errorf("got %v", err)
	}
}

// Questions are answered in their order.
func TestKeyboardInteractive(t *testing.T) {
	t.Parallel()
	s := &stub{run: exits(sshserver.ExitStatus{}), auth: func(challenge sshserver.Challenge) bool {
		// The same text twice: the original knows questions by their text.
		answers, err := challenge("Who?", []sshserver.Question{{Prompt: "Code:"}, {Prompt: "Code:", Echo: true}})
		return err == nil && slices.Equal(answers, []string{"1", "2"})
	}}
	var asked []string
	c, err := dial(t, serve(t, s), ssh.KeyboardInteractive(func(_, instruction string, questions []string, echos []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		asked = append(asked, instruction+" "+strings.Join(questions, " "))
		return []string{"1", "2"}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, c); err != nil {
		t.Error(err)
	}
	if !slices.Equal(asked, []string{"Who? Code: Code:"}) {
		t.Errorf("asked %q", asked)
	}
}
