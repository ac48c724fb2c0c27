package containerssh_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/containerssh/log"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/contrib/containerssh"
)

// line is what the original's JSON logs have.
type line struct {
	Level   string         `json:"level"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details"`
}

// Log filters that were made for the original find codes, levels and labels
// where they were.
func TestLogger(t *testing.T) {
	var out bytes.Buffer
	to, err := log.NewLogger(log.Config{Level: log.LevelDebug, Format: log.FormatLJSON, Destination: log.DestinationStdout, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	l := containerssh.Logger(to).With("channel", 3, "a b", true)
	coded := &backend.Error{Code: "DOCKER_X", Message: "no luck", Err: errors.New("why")}
	l.Debug("begin", "code", "DOCKER_EXEC", "wait", 2*time.Second)
	l.Info("100%", "error", errors.New("plain"))
	l.Warn("careful", "error", coded)
	l.WithGroup("g").Error("bad", "code", "no code in a group", slog.Group("h", "n", 1.5))

	var got []line
	for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var one line
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got = append(got, one)
	}
	both := func(more map[string]any) map[string]any {
		m := map[string]any{"channel": 3.0, "a_b": true}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	want := []line{
		{"debug", "DOCKER_EXEC", "begin", both(map[string]any{"wait": "2s"})},
		{"info", "UNKNOWN_ERROR", "100% (plain)", both(nil)},
		{"warning", "DOCKER_X", "careful (no luck: why)", both(nil)},
		{"error", "UNKNOWN_ERROR", "bad", both(map[string]any{"g_code": "no code in a group", "g_h_n": 1.5})},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	containerssh.Logger(nil).Error("nowhere")
}

// Errors are messages of the original's.
func TestMessage(t *testing.T) {
	cause := errors.New("why")
	m := containerssh.Message(&backend.Error{Code: "DOCKER_X", User: "Sorry.", Message: "no luck", Err: cause})
	if m.Code() != "DOCKER_X" || m.UserMessage() != "Sorry." || m.Explanation() != "no luck (why)" || !errors.Is(m, cause) {
		t.Errorf("code %q, user %q, explanation %q", m.Code(), m.UserMessage(), m.Explanation())
	}
	if again := containerssh.Message(m); again != m {
		t.Errorf("a message became another: %v", again)
	}
	if m := containerssh.Message(nil); m != nil {
		t.Errorf("nil became %v", m)
	}
	plain := containerssh.Message(cause)
	if plain.Explanation() != "why" || !errors.Is(plain, cause) || plain.Code() == "" {
		t.Errorf("code %q, explanation %q", plain.Code(), plain.Explanation())
	}
}
