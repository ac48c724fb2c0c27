package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are what doc.go tells about.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"client":     client,
	"module":     module,
	"exits":      exits,
	"expand":     expand,
	"pipe":       pipe,
	"random":     random,
	"same":       same,
	"attributes": attributes,
	"await":      await,
	"parallel":   parallel,
}

// patience is how long something is waited for, on a machine that runs all of
// the tests at once.
const patience = 90 * time.Second

// usage ends a script that calls a command as it isn't meant.
func usage(ts *testscript.TestScript, neg bool, args []string, min, max int, text string) {
	if neg || len(args) < min || max >= 0 && len(args) > max {
		ts.Fatalf("usage: %s", text)
	}
}

func size(ts *testscript.TestScript, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	ts.Check(err)
	return n
}

// exits runs a command that must end with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "exits CODE COMMAND [ARGUMENT…]")
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// random makes a file without a period that a lost or doubled block could hide
// in, the same for each name.
func random(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "random FILE SIZE")
	content := make([]byte, size(ts, args[1]))
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", args[0])))).Read(content)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o644))
}

// expand replaces variables in a file, as in the lines of a script.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, -1, "expand FILE…")
	for _, file := range args {
		content := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(content), 0o644))
	}
}

// pipe runs a command with files as its standard input and output, for what is
// not to be in the log.
func pipe(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, -1, "pipe FROM TO COMMAND [ARGUMENT…]")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	from, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer from.Close()
	to, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	cmd := exec.CommandContext(ctx, args[2], args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = from, to, ts.Stderr()
	err = cmd.Run()
	ts.Check(errors.Join(err, to.Close()))
}

// entry is what same compares of a file.
type entry struct {
	mode    fs.FileMode
	seconds int64
	content string
}

func (e entry) String() string {
	content := e.content
	if len(content) > 100 {
		content = fmt.Sprintf("%d bytes that begin with %.100s", len(content), content)
	}
	return fmt.Sprintf("%v %d %q", e.mode, e.seconds, content)
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	preserved := len(args) > 0 && args[0] == "-p"
	if preserved {
		args = args[1:]
	}
	usage(ts, neg, args, 2, 2, "same [-p] ONE OTHER")
	one, other := entries(ts, args[0], preserved), entries(ts, args[1], preserved)
	for path, e := range one {
		o, ok := other[path]
		switch {
		case !ok:
			ts.Logf("%s is missing in %s", filepath.Join(args[0], path), args[1])
		case e != o:
			ts.Logf("%s is not the same:\n%s: %v\n%s: %v", path, args[0], e, args[1], o)
		default:
			delete(other, path)
			continue
		}
		ts.Fatalf("%s and %s differ", args[0], args[1])
	}
	for path := range other {
		ts.Fatalf("%s is missing in %s", filepath.Join(args[1], path), args[0])
	}
}

// entries are all that is below root, by their paths from there.
func entries(ts *testscript.TestScript, root string, preserved bool) map[string]entry {
	root, err := filepath.EvalSymlinks(ts.MkAbs(root))
	ts.Check(err)
	all := map[string]entry{}
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode().Type()}
		if preserved && d.Type()&fs.ModeSymlink == 0 {
			e.mode, e.seconds = info.Mode(), info.ModTime().Unix()
		}
		switch {
		case d.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.content = string(content)
		case d.Type()&fs.ModeSymlink != 0:
			if e.content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		path, err = filepath.Rel(root, path)
		all[path] = e
		return err
	}))
	return all
}

func attributes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, 3, "attributes FILE MODE TIME")
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if mode := strconv.FormatUint(uint64(info.Mode().Perm()), 8); mode != args[1] {
		ts.Fatalf("%s has mode %s, not %s", args[0], mode, args[1])
	}
	if t := info.ModTime().Unix(); t != size(ts, args[2]) {
		ts.Fatalf("%s was changed at %d, not %s", args[0], t, args[2])
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "await FILE")
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Lstat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %s after %v", args[0], patience)
		}
	}
}

// parallel runs a command several times at once. Each must succeed; its standard
// output is then in the file stdout.N.
func parallel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "parallel N COMMAND [ARGUMENT…]")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := int(size(ts, args[0]))
	failures := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		number := strconv.Itoa(i + 1)
		argv := make([]string, 0, len(args)-1)
		for _, arg := range args[1:] {
			argv = append(argv, strings.ReplaceAll(arg, "%", number))
		}
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = ts.MkAbs(".")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		all.Go(func() {
			out, err := cmd.Output()
			if err == nil {
				err = os.WriteFile(filepath.Join(cmd.Dir, "stdout."+number), out, 0o644)
			}
			if err != nil {
				failures[i] = fmt.Sprintf("%q: %v: %s", argv, err, &stderr)
			}
		})
	}
	all.Wait()
	for _, failure := range failures {
		if failure != "" {
			ts.Fatalf("%s", failure)
		}
	}
}
