//go:build linux

package guestshell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/term"
)

// interactive reads commands at a prompt until the end of input.
func (s *shell) interactive(ctx context.Context) int {
	// ctrl-z would stop programs that nobody can wake up again. What is
	// ignored here is ignored by the programs too.
	signal.Ignore(syscall.SIGTSTP)
	// ctrl-c ends the program in the foreground, which gets it from the
	// terminal, and what this shell itself is doing, but not the shell.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGQUIT)
	var current atomic.Pointer[context.CancelFunc]
	go func() {
		for range interrupts {
			if cancel := current.Load(); cancel != nil {
				(*cancel)()
			}
		}
	}()

	keys := &keyboard{shell: s, editor: newEditor()}
	for !keys.ended {
		for statements, err := range s.lines(keys) {
			keys.within = false
			if errors.Is(err, errInterrupted) {
				s.line(ctx, "(exit 130)")
				break
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
				s.line(ctx, "(exit 2)")
				break
			}
			// Cancelled by ctrl-c only: what the line leaves behind goes on.
			line, cancel := context.WithCancel(ctx)
			current.Store(&cancel)
			for _, statement := range statements {
				runCtx := line
				if statement.Background {
					runCtx = context.WithValue(ctx, inBackground{}, true)
				}
				code := s.run(runCtx, statement)
				if line.Err() != nil {
					// The interpreter takes this for its own end, and for code 1.
					fmt.Println()
					s.line(ctx, "(exit 130)")
					break
				}
				if s.runner.Exited() {
					return code
				}
			}
			current.Store(nil)
		}
	}
	fmt.Println("exit")
	return s.line(ctx, "exit") // with the last code, and the EXIT trap
}

// keyboard gives the parser what is typed, line by line.
type keyboard struct {
	shell  *shell
	editor *editor
	typed  string // and not yet read
	within bool   // a statement that goes on
	ended  bool
}

func (k *keyboard) Read(p []byte) (int, error) {
	if k.typed == "" {
		prompt := k.shell.prompt()
		if k.within {
			prompt = "> "
		}
		line, err := k.editor.line(prompt)
		if err != nil {
			k.ended = !errors.Is(err, errInterrupted)
			return 0, err
		}
		k.typed = line + "\n"
		k.within = true
	}
	n := copy(p, k.typed)
	k.typed = k.typed[n:]
	return n, nil
}

// prompt is PS1 with the few escapes that matter, or user@host:directory.
func (s *shell) prompt() string {
	ps1 := `\u@\h:\w\$ `
	if v, ok := s.runner.Vars["PS1"]; ok {
		ps1 = v.Str
	} else if v, ok := os.LookupEnv("PS1"); ok {
		ps1 = v
	}
	name, sign := "?", "$"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if os.Geteuid() == 0 {
		sign = "#"
	}
	host, _ := os.Hostname()
	dir := s.runner.Dir
	if home := os.Getenv("HOME"); home != "" && home != "/" {
		if rest, ok := strings.CutPrefix(dir, home); ok && (rest == "" || rest[0] == '/') {
			dir = "~" + rest
		}
	}
	return strings.NewReplacer(`\u`, name, `\h`, host, `\w`, dir, `\$`, sign).Replace(ps1)
}

// errInterrupted says that ctrl-c was pressed at the prompt.
var errInterrupted = errors.New("interrupted")

// editor edits lines on the terminal, which is in raw mode only meanwhile.
type editor struct {
	terminal    *term.Terminal
	interrupted bool
}

func newEditor() *editor {
	e := &editor{}
	e.terminal = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{readerFunc(e.read), os.Stdout}, "")
	return e
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// read gives the terminal one byte at a time: what is typed ahead is for the
// program that is about to run. ctrl-c becomes the end of the line, which line
// then takes as no line at all.
func (e *editor) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := os.Stdin.Read(p[:1])
	if n == 1 && p[0] == 0x03 {
		e.interrupted = true
		_, _ = os.Stdout.WriteString("^C")
		p[0] = '\r'
	}
	return n, err
}

// line reads one line.
func (e *editor) line(prompt string) (string, error) {
	fd := int(os.Stdin.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, old) }()
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = e.terminal.SetSize(width, height)
	}
	e.terminal.SetPrompt(prompt)
	e.interrupted = false
	line, err := e.terminal.ReadLine()
	if e.interrupted {
		return "", errInterrupted
	}
	return line, err
}
