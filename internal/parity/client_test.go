package parity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// caseTimeout bounds one call of ssh, and one wait for a screen: long enough
// for a machine that runs all of the tests at once.
const caseTimeout = 90 * time.Second

// target is a server, by the way in which ssh reaches it.
type target struct {
	// name is "sshd", or Berth's way and mode: "image/session".
	name string
	// options and destination are for ssh's command line.
	options     []string
	destination string
}

// client does what a case wants with one target.
type client struct {
	t *testing.T
	target
	// reference is the outcome with sshd; empty while that is made.
	reference outcome
}

// argv is the command line of ssh.
func (c *client) argv(options []string, command ...string) []string {
	argv := append([]string{"ssh"}, c.options...)
	argv = append(argv, options...)
	argv = append(argv, c.destination)
	return append(argv, command...)
}

// call is one use of ssh without a terminal of its own.
type call struct {
	options []string
	command []string
	// stdin nil is /dev/null.
	stdin io.Reader
	// stdout takes the output instead of the outcome.
	stdout io.Writer
	// env is added to the client's environment.
	env []string
}

// do runs ssh to its end.
func (c *client) do(call call) outcome {
	c.t.Helper()
	return c.runArgv(c.argv(call.options, call.command...), call)
}

// runArgv runs a client of ssh's family.
func (c *client) runArgv(argv []string, call call) outcome {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), caseTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// A caller's locale must not decide what ssh says.
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C", "TERM=dumb"}, call.env...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = call.stdin, &stdout, &stderr
	if call.stdout != nil {
		cmd.Stdout = call.stdout
	}
	// ssh may be gone while somebody else, such as a master that it has left
	// behind, still holds its output.
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var o outcome
	if call.stdout == nil {
		o = append(o, part{"stdout", show(stdout.Bytes())})
	}
	return append(o, part{"stderr", show(stderr.Bytes())}, part{"exit", exitOf(ctx, err)})
}

func exitOf(ctx context.Context, err error) string {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("none: still running after %v", caseTimeout)
	case err == nil:
		return "0"
	case errors.As(err, &exit):
		return strconv.Itoa(exit.ExitCode())
	default:
		return err.Error()
	}
}

// whenSized begins a command that needs the terminal's size, where a program may
// be faster than an engine before API 1.42 takes it, and there is no agent to wait
// for it.
func (c *client) whenSized() string {
	if strings.HasPrefix(c.name, "none/") {
		return `while [ "$(stty size)" = "0 0" ]; do sleep 0.01; done; `
	}
	return ""
}

// openInput is an input that does not end before the test does.
func (c *client) openInput() *os.File {
	c.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r
}

// run is do for a command without input.
func (c *client) run(command ...string) outcome {
	c.t.Helper()
	return c.do(call{command: command})
}

// prefix makes the names of parts differ where a case calls ssh several times.
func (o outcome) prefix(p string) outcome {
	for i := range o {
		o[i].name = p + " " + o[i].name
	}
	return o
}

// copies copies trees to and from the guest with scp. What comes back are the
// guest's own files: a container may be gone before the next copy.
func (c *client) copies(options ...string) outcome {
	c.t.Helper()
	dir := c.t.TempDir()
	for name, content := range map[string][]byte{"up/empty": nil, "up/a b": []byte("text\n"), "up/sub/large": pattern(2 << 20)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o640); err != nil {
			c.t.Fatal(err)
		}
	}
	scp := func(name, from, to string) outcome {
		argv := slices.Concat([]string{"scp", "-rpq"}, c.options, options, []string{from, to})
		return c.runArgv(argv, call{}).prefix(name)
	}
	down := filepath.Join(dir, "down")
	all := slices.Concat(
		scp("up", filepath.Join(dir, "up"), c.destination+":/tmp"),
		scp("down", c.destination+":/usr/share/base-files", down),
		scp("missing", c.destination+":/no/such/file", down),
	)
	sum := sha256.New()
	err := filepath.WalkDir(down, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %v %v\n%s", strings.TrimPrefix(path, down), info.Mode(), info.ModTime(), content)
		return err
	})
	if err != nil {
		c.t.Errorf("what was copied: %v", err)
	}
	return append(all, part{"tree", fmt.Sprintf("%x", sum.Sum(nil))})
}

// master opens a connection that later calls share with the returned options
// (ssh_config(5), ControlMaster), until the test ends.
func (c *client) master() (options []string) {
	c.t.Helper()
	// A socket's path is limited to some hundred bytes.
	dir, err := os.MkdirTemp("", "ssh-")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	argv := c.argv([]string{"-M", "-N", "-S", path})
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	c.t.Cleanup(func() {
		// TERM lets ssh say goodbye; it is a client under our own control.
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(caseTimeout); ; {
		if _, err := os.Stat(path); err == nil {
			return []string{"-S", path}
		}
		select {
		case <-ended:
			c.t.Fatalf("the master connection ended: %s", stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			c.t.Fatal("no master connection in time")
		}
	}
}

// parallel runs n calls at the same time and returns their outcomes in order.
func parallel(n int, do func(i int) outcome) outcome {
	outcomes := make([]outcome, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { outcomes[i] = do(i).prefix(strconv.Itoa(i)) })
	}
	wg.Wait()
	var all outcome
	for _, o := range outcomes {
		all = append(all, o...)
	}
	return all
}

// slowly reads like a user with a thin line: a little at a time, with pauses.
type slowly struct {
	hash interface{ Write([]byte) (int, error) }
}

func (s slowly) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(len(p)-done, 64<<10)
		if _, err := s.hash.Write(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
		time.Sleep(2 * time.Millisecond)
	}
	return len(p), nil
}

// pattern gives n bytes without a period that a lost or doubled block could
// hide in: a line for each number.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strconv.Itoa(i))
		b.WriteByte('\n')
	}
	return b.Bytes()[:n]
}

// lines joins commands to one script.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }
