package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/internal/testguest"
)

func main() {
	if play() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// The second one ends this process at once, and the others with it.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// size says how much of everything is measured.
type size struct {
	sessions, sharedSessions, logins int // rounds
	burst, burstPool, burstReference int
	transfers                        int
	transfer                         int64 // bytes
	// levels are numbers of open connections: memory is taken at idle, and the
	// slowest logins are compared at few and at the most.
	levels    []int
	idle, few int
	probes    int           // logins at each level
	watch     time.Duration // how long the idle server is watched
}

var (
	full = size{
		sessions: 100, sharedSessions: 100, logins: 25,
		burst: 100, burstPool: 20, burstReference: 8,
		transfers: 3, transfer: 1 << 30,
		levels: []int{1, 10, 100, 1000, 10_000}, idle: 1000, few: 10, probes: 300, watch: 5 * time.Second,
	}
	quick = size{
		sessions: 2, sharedSessions: 2, logins: 1,
		burst: 3, burstPool: 1, burstReference: 1,
		transfers: 1, transfer: 16 << 20,
		levels: []int{1, 4, 12}, idle: 4, few: 1, probes: 3, watch: 50 * time.Millisecond,
	}
)

// bench is one run.
type bench struct {
	*stage
	size  size
	quick bool
	log   io.Writer
	// scaling is made by crowds.
	scaling []Level
}

// measurement makes figures that have something in common.
type measurement struct {
	figures []string
	make    func(b *bench, ctx context.Context) ([]Figure, error)
}

var measurements = []measurement{
	{[]string{"session_vs_engine_exec"}, (*bench).newSessions},
	{[]string{"session_vs_openssh"}, (*bench).sharedSessions},
	{[]string{"login_warm_vs_openssh", "login_cold_overhead_ms", "login_cold_vs_openssh"}, (*bench).logins},
	{[]string{"burst_100"}, (*bench).burst},
	{[]string{"download_vs_openssh", "upload_vs_openssh"}, (*bench).transfers},
	{[]string{"idle_connection_kib", "login_p99_at_10000"}, (*bench).crowds},
}

// endpoints are the servers that logins and sessions are compared of; Berth and
// OpenSSH come first.
func (b *bench) endpoints(ctx context.Context) ([]*endpoint, error) {
	var list []*endpoint
	for _, get := range []func(context.Context) (*endpoint, error){b.berth, b.sshd, b.berthOnExec} {
		e, err := get(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return append(list, b.targets...), nil
}

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// command runs one command line and returns the exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var list targets
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "measure the figures whose names match this `regexp`")
	isQuick := flags.Bool("quick", false, "measure next to nothing, to see that everything works")
	out := flags.String("out", "bench.json", "`file` for the figures, as JSON")
	program := flags.String("berth", "bin/berth", "the built `program` to measure")
	keyFile := flags.String("i", "", "private key `file` for targets (default ~/.ssh/id_ed25519)")
	user := flags.String("user", "", "`name` of the user at targets (default: yours)")
	plot := flags.String("plot", "", "measure nothing: draw what -out holds into this SVG `file`")
	flags.Var(&list, "target", "another SSH server to measure, as `name=host:port`; may be given again")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "bench: no operand %q is known\n", flags.Arg(0))
		return exitUsage
	}
	complain := func(err error) int {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitError
	}
	if *plot != "" {
		if err := draw(*out, *plot); err != nil {
			return complain(err)
		}
		return exitOK
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(stderr, "bench: -only: %v\n", err)
		return exitUsage
	}
	others, err := list.endpoints(*user, *keyFile)
	if err != nil {
		return complain(err)
	}
	b := &bench{stage: newStage(*program, others), size: full, quick: *isQuick, log: stderr}
	if b.quick {
		b.size = quick
	}
	report := &Report{
		Made: time.Now().UTC().Truncate(time.Second), Command: commandLine(args),
		Quick: b.quick, Machine: machine(*program), Failed: map[string]string{},
	}
	if report.Busy, err = busy(ctx, b.size.watch); err == nil && report.Busy > tooBusy {
		fmt.Fprintf(stderr, "LOUD: the machine is busy with something else (%.0f %% of its processors): ratios suffer from that, too\n", report.Busy)
	}
	b.measure(ctx, wanted, args, report)
	report.Scaling = b.scaling
	if err := b.close(ctx); err != nil {
		report.Failed["the end"] = err.Error()
	}
	if ctx.Err() != nil {
		return complain(errors.New("interrupted; everything that was started has been ended"))
	}
	if len(report.Figures) == 0 && len(report.Failed) == 0 {
		return complain(fmt.Errorf("no figure has a name that matches %q", *only))
	}
	report.write(stdout)
	text, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(*out, append(text, '\n'), 0o644)
	}
	if err != nil {
		return complain(err)
	}
	if len(report.Failed) > 0 {
		return exitError
	}
	return exitOK
}

// measure makes the figures that are wanted.
func (b *bench) measure(ctx context.Context, wanted *regexp.Regexp, args []string, report *Report) {
	for _, m := range measurements {
		if !slices.ContainsFunc(m.figures, wanted.MatchString) {
			continue
		}
		names := strings.Join(m.figures, ", ")
		begin := time.Now()
		fmt.Fprintf(b.log, "%s …\n", names)
		figures, err := m.make(b, ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			report.Failed[names] = err.Error()
			fmt.Fprintf(b.log, "%s: %v\n", names, err)
			continue
		}
		for _, f := range figures {
			if wanted.MatchString(f.Name) {
				f.judge(b.quick)
				f.Command = commandLine(append(slices.Clone(args), "-only", "^"+f.Name+"$")) // the last -only counts
				report.Figures = append(report.Figures, f)
			}
		}
		fmt.Fprintf(b.log, "    took %.0f s\n", time.Since(begin).Seconds())
	}
}

// commandLine is what makes a run like this one again, once it is built.
func commandLine(args []string) string {
	words := []string{"bin/bench"}
	for _, arg := range args {
		if strings.Trim(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:@,+%") != "" || arg == "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// tooBusy is how busy a machine may be without a word, in percent.
const tooBusy = 10

// machine describes what the run is made with.
func machine(program string) map[string]string {
	m := map[string]string{
		"processors": fmt.Sprint(runtime.NumCPU()), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
		"engine": testguest.EngineHost(),
	}
	for what, cmd := range map[string]*exec.Cmd{
		"berth": exec.Command(program, "version"), "ssh": exec.Command("ssh", "-V"), "kernel": exec.Command("uname", "-sr"),
	} {
		if text, err := cmd.CombinedOutput(); err == nil {
			m[what] = strings.TrimSpace(string(text))
		}
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m["processor"] = strings.TrimSpace(value)
			break
		}
	}
	return m
}
