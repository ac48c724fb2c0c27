//go:build linux

package guestshell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const usage = `usage: %[1]s [-il] [SCRIPT [ARG]...]
       %[1]s [-il] -c COMMAND [NAME [ARG]...]
       %[1]s [-il] -s [ARG]...

A shell of the bash dialect. Without SCRIPT it reads commands from standard
input, with line editing and history on a terminal. "help" lists the commands of
this image.

  -c  run COMMAND
  -i  be interactive
  -l  be a login shell: read /etc/profile and ~/.profile first
  -s  read commands from standard input

There is no job control: ctrl-z has no effect, and $! is no process id. Traps take
EXIT and ERR.
`

// shell is one run of the shell.
type shell struct {
	name   string
	help   func(io.Writer) // what "help" says
	runner *interp.Runner
}

// invocation is what the command line says.
type invocation struct {
	name               string
	args               []string
	command            *string
	script             string
	login, interactive bool
}

// parseArgs parses the command line; argv[0] is the shell's name.
func parseArgs(argv []string) (inv invocation, err error) {
	inv.name = strings.TrimPrefix(filepath.Base(argv[0]), "-")
	inv.login = strings.HasPrefix(argv[0], "-")
	args := argv[1:]
	hasCommand, fromStdin := false, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		a := args[0]
		args = args[1:]
		if a == "--" {
			break
		}
		if a == "--login" {
			inv.login = true
			continue
		}
		for _, option := range a[1:] {
			switch option {
			case 'c':
				hasCommand = true
			case 'i':
				inv.interactive = true
			case 'l':
				inv.login = true
			case 's':
				fromStdin = true
			default:
				return inv, fmt.Errorf("no such option: %s", a)
			}
		}
	}
	switch {
	case hasCommand && len(args) == 0:
		return inv, errors.New("-c needs a command")
	case hasCommand:
		inv.command, args = &args[0], args[1:]
		if len(args) > 0 {
			inv.name, args = args[0], args[1:]
		}
	case len(args) > 0 && !fromStdin:
		inv.script, inv.name, args = args[0], args[0], args[1:]
	}
	inv.args = args
	return inv, nil
}

// Main runs the shell and returns its exit code. help prints what "help" says.
func Main(argv []string, help func(io.Writer)) int {
	for _, a := range argv[1:] {
		if a == "--help" {
			fmt.Printf(usage, filepath.Base(argv[0]))
			return 0
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
	}
	inv, err := parseArgs(argv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", inv.name, err)
		return 2
	}
	fromStdin := inv.command == nil && inv.script == ""
	onTerminal := fromStdin && term.IsTerminal(int(os.Stdin.Fd()))
	s := &shell{name: inv.name, help: help}
	setDefaults(argv[0])
	s.runner, err = interp.New(
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.Params(append([]string{"--"}, inv.args...)...),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return run }),
		interp.CallHandler(s.call),
		interp.Interactive(onTerminal || inv.interactive),
	)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		return 1
	}
	ctx := context.Background()
	if inv.login {
		for _, profile := range []string{"/etc/profile", os.Getenv("HOME") + "/.profile"} {
			if code, exited := s.source(ctx, profile); exited {
				return code
			}
		}
	}
	// bash's other name of $0, which the interpreter knows in whole files only:
	// see lines.
	s.line(ctx, "BASH_ARGV0="+quote(s.name))
	switch {
	case inv.command != nil:
		return s.text(ctx, *inv.command, inv.name)
	case inv.script != "":
		text, err := os.ReadFile(inv.script)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
			return 127
		}
		return s.text(ctx, string(text), inv.script)
	case onTerminal:
		return s.interactive(ctx)
	default:
		return s.stdin(ctx)
	}
}

// setDefaults sets the variables that every shell has.
func setDefaults(argv0 string) {
	for name, value := range map[string]string{
		"PATH":  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME":  "/",
		"SHELL": "/bin/" + strings.TrimPrefix(filepath.Base(argv0), "-"),
	} {
		if _, ok := os.LookupEnv(name); !ok {
			_ = os.Setenv(name, value)
		}
	}
}

// source runs a file in this shell, if it exists.
func (s *shell) source(ctx context.Context, path string) (code int, exited bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	code = s.text(ctx, string(text), path)
	return code, s.runner.Exited()
}

// text runs a whole text and returns its exit code.
func (s *shell) text(ctx context.Context, text, name string) int {
	file, err := newParser().Parse(strings.NewReader(text), name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		return 2
	}
	adapt(file)
	return s.run(ctx, file)
}

// run runs what has been parsed.
func (s *shell) run(ctx context.Context, node syntax.Node) int {
	err := s.runner.Run(ctx, node)
	if err == nil {
		return 0
	}
	if status := interp.ExitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		return 1
	}
	return 130
}

// stdin runs the commands of standard input, each when it is complete. Not a
// byte more is read than belongs to them: the rest is for the programs.
func (s *shell) stdin(ctx context.Context) int {
	code := 0
	for statements, err := range s.lines(&bytewise{r: os.Stdin}) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
			return 2
		}
		for _, statement := range statements {
			code = s.run(ctx, statement)
			if s.runner.Exited() {
				return code
			}
		}
	}
	return s.line(ctx, "exit") // with the last code, and the EXIT trap
}

// lines parses what comes in line by line: the statements of each line that
// completes some, with $0 replaced. It ends at the first error.
func (s *shell) lines(r io.Reader) iter.Seq2[[]*syntax.Stmt, error] {
	parser := newParser()
	return func(yield func([]*syntax.Stmt, error) bool) {
		for statements, err := range parser.InteractiveSeq(r) {
			if err != nil {
				yield(nil, err)
				return
			}
			if parser.Incomplete() {
				continue
			}
			for _, statement := range statements {
				adapt(statement)
				syntax.Walk(statement, func(n syntax.Node) bool {
					if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == "0" {
						p.Param.Value = "BASH_ARGV0"
					}
					return true
				})
			}
			if !yield(statements, nil) {
				return
			}
		}
	}
}

// line runs a statement of our own as if it had been typed.
func (s *shell) line(ctx context.Context, text string) int {
	file, err := newParser().Parse(strings.NewReader(text), "")
	if err != nil {
		panic(err)
	}
	return s.run(ctx, file.Stmts[0])
}

// adapt gives what runs in the background an empty standard input, as POSIX
// has it without job control: it would take away what others are to read.
func adapt(node syntax.Node) {
	syntax.Walk(node, func(n syntax.Node) bool {
		if statement, ok := n.(*syntax.Stmt); ok && statement.Background {
			null := &syntax.Redirect{Op: syntax.RdrIn, Word: &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: "/dev/null"}}}}
			statement.Redirs = append([]*syntax.Redirect{null}, statement.Redirs...)
		}
		return true
	})
}

func newParser() *syntax.Parser { return syntax.NewParser(syntax.Variant(syntax.LangBash)) }

// bytewise reads byte by byte, so that nothing is taken from those who read the
// same file afterwards. A last line without its newline gets one.
type bytewise struct {
	r     io.Reader
	ended bool
}

func (b *bytewise) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:1])
	if err == io.EOF {
		b.ended = true
		p[0] = '\n'
		return 1, nil
	}
	return n, err
}
