package parity

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// terminal is a person at a terminal: tmux is the terminal, ssh runs in it.
type terminal struct {
	c      *client
	socket string
	parts  outcome
}

const (
	columns = 80
	rows    = 24
	// poll is how often the screen is looked at.
	poll = 30 * time.Millisecond
)

// endMark is what the screen shows after ssh has ended, with its exit code.
const endMark = "[ssh ended: "

// open starts ssh in a terminal of 80 by 24.
func (c *client) open(options []string, command ...string) *terminal {
	c.t.Helper()
	return c.openSized(columns, rows, options, command...)
}

func (c *client) openSized(columns, rows int, options []string, command ...string) *terminal {
	c.t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		c.t.Fatal("tmux is not installed: run \"make setup\"")
	}
	dir, err := os.MkdirTemp("", "tmux-")
	if err != nil {
		c.t.Fatal(err)
	}
	t := &terminal{c: c, socket: filepath.Join(dir, "s")}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = t.command(ctx, "kill-server").Run()
		os.RemoveAll(dir)
	})
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte(lines(
		"set -g default-terminal screen", "set -g status off", "set -sg escape-time 0",
		"set -g default-shell /bin/sh", "set -g history-limit 0",
	)), 0o644); err != nil {
		c.t.Fatal(err)
	}
	argv := append([]string{"-f", config, "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows),
		"sh", "-c", `"$@"; printf "\n` + endMark + `%d]" $?; exec cat >/dev/null`, "sh"}, c.argv(options, command...)...)
	t.tmux(argv...)
	return t
}

func (t *terminal) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-S", t.socket}, args...)...)
	for _, v := range os.Environ() {
		// A test may itself have been started inside of tmux.
		if !strings.HasPrefix(v, "TMUX") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	return cmd
}

func (t *terminal) tmux(args ...string) string {
	t.c.t.Helper()
	ctx, cancel := context.WithTimeout(t.c.t.Context(), caseTimeout)
	defer cancel()
	out, err := t.command(ctx, args...).CombinedOutput()
	if err != nil {
		t.c.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// typed types text as it is.
func (t *terminal) typed(text string) {
	t.c.t.Helper()
	t.tmux("send-keys", "-l", "--", text)
}

// line types text and Enter.
func (t *terminal) line(text string) {
	t.c.t.Helper()
	t.typed(text)
	t.press("Enter")
}

// press presses keys by tmux's names: C-c, Enter, Up.
func (t *terminal) press(keys ...string) {
	t.c.t.Helper()
	t.tmux(append([]string{"send-keys"}, keys...)...)
}

// paste pastes text at once.
func (t *terminal) paste(text string) {
	t.c.t.Helper()
	file := t.socket + ".paste"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.c.t.Fatal(err)
	}
	t.tmux("load-buffer", file)
	t.tmux("paste-buffer", "-d", "-r")
}

// resize changes the size of the window.
func (t *terminal) resize(columns, rows int) {
	t.c.t.Helper()
	t.tmux("resize-window", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows))
}

// screen is what is on the screen, with the place of the cursor.
func (t *terminal) screen() string {
	t.c.t.Helper()
	text := strings.TrimRight(t.tmux("capture-pane", "-p"), "\n")
	return text + "\ncursor at " + strings.TrimSpace(t.tmux("display-message", "-p", "#{cursor_x},#{cursor_y}"))
}

// wait waits until all of the texts are on the screen.
func (t *terminal) wait(texts ...string) {
	t.c.t.Helper()
	t.until(func(screen string) bool { return holds(screen, texts) }, fmt.Sprintf("%q", texts))
}

// gone waits until none of the texts is on the screen.
func (t *terminal) gone(texts ...string) {
	t.c.t.Helper()
	t.until(func(screen string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(screen, text) })
	}, fmt.Sprintf("the end of %q", texts))
}

// says waits until so many lines of the screen are the text.
func (t *terminal) says(text string, times int) {
	t.c.t.Helper()
	t.until(func(screen string) bool {
		return strings.Count("\n"+strings.ReplaceAll(screen, "\n", "\n\n")+"\n", "\n"+text+"\n") >= times
	}, fmt.Sprintf("%q, %d times", text, times))
}

// prompt waits until the shell's prompt is alone on the cursor's line.
func (t *terminal) prompt() {
	t.c.t.Helper()
	t.until(func(screen string) bool {
		all := strings.Split(screen, "\n")
		var x, y int
		if _, err := fmt.Sscanf(all[len(all)-1], "cursor at %d,%d", &x, &y); err != nil || y >= len(all)-1 {
			return false
		}
		return x == len("guest# ") && strings.TrimSpace(all[y]) == "guest#"
	}, "a prompt")
}

func (t *terminal) until(ok func(screen string) bool, what string) {
	t.c.t.Helper()
	deadline := time.Now().Add(caseTimeout)
	for {
		screen := t.screen()
		if ok(screen) {
			return
		}
		if time.Now().After(deadline) {
			t.c.t.Fatalf("waited for %s; the screen:\n%s", what, screen)
		}
		time.Sleep(poll)
	}
}

// shot adds the screen to the outcome, when all of the texts are on it and it
// does not change any more. Since a program may pause while it draws, a screen
// that is not as with sshd is given more time to become so.
func (t *terminal) shot(name string, texts ...string) {
	t.c.t.Helper()
	t.wait(texts...)
	reference, known := t.c.reference.get(name)
	patience := time.Now().Add(caseTimeout / 3)
	last, same := "", 0
	for {
		screen := t.screen()
		if screen == last && holds(screen, texts) {
			same++
		} else {
			last, same = screen, 0
		}
		if same >= 5 && (!known || "\n"+screen == reference || time.Now().After(patience)) {
			t.parts = append(t.parts, part{name, "\n" + screen})
			return
		}
		if time.Now().After(patience.Add(caseTimeout)) {
			t.c.t.Fatalf("the screen for %s does not come to rest:\n%s", name, screen)
		}
		time.Sleep(poll)
	}
}

// end waits until ssh has ended, and returns the outcome with its exit code.
func (t *terminal) end() outcome {
	t.c.t.Helper()
	t.wait(endMark)
	_, rest, _ := strings.Cut(t.screen(), endMark)
	code, _, _ := strings.Cut(rest, "]")
	return append(t.parts, part{"exit", code})
}

func holds(screen string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(screen, text) {
			return false
		}
	}
	return true
}
