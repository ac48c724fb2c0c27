package containerssh

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/containerssh/log"

	"github.com/berth-ssh/berth/backend"
)

// codeKey is the attribute that holds a record's message code.
const codeKey = "code"

// Logger makes a logger of the original's one for ours; nil discards. The code
// of a record is that of its message, its error stands in brackets behind the
// text, and its other attributes are labels. A record without a code has the
// original's own one for that, UNKNOWN_ERROR.
func Logger(l log.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(logHandler{to: l})
}

// logHandler writes records to a logger of the original's.
type logHandler struct {
	to    log.Logger
	code  string // from WithAttrs
	group string // stands before the names of labels
}

// Enabled lets all through: the original's loggers don't tell their level.
func (h logHandler) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup puts a name before those of all labels that follow.
func (h logHandler) WithGroup(name string) slog.Handler {
	if name != "" {
		h.group += name + "_"
	}
	return h
}

// WithAttrs adds labels to all records.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		each(h.group, a, func(name string, value slog.Value) {
			if name == codeKey {
				h.code = value.String()
			} else {
				h.to = h.to.WithLabel(log.LabelName(name), labelValue(value))
			}
		})
	}
	return h
}

// Handle writes one record.
func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	code, text := h.code, r.Message
	labels := log.Labels{}
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && a.Value.Kind() != slog.KindGroup {
			text += fmt.Sprintf(" (%v)", err)
			if code == "" {
				code = backend.Code(err)
			}
			return true
		}
		each(h.group, a, func(name string, value slog.Value) {
			if name == codeKey {
				code = value.String()
			} else {
				labels[log.LabelName(name)] = labelValue(value)
			}
		})
		return true
	})
	if code == "" {
		code = log.EUnknownError
	}
	m := log.NewMessage(code, "%s", text)
	for name, value := range labels {
		m = m.Label(name, value)
	}
	switch {
	case r.Level >= slog.LevelError:
		h.to.Error(m)
	case r.Level >= slog.LevelWarn:
		h.to.Warning(m)
	case r.Level >= slog.LevelInfo:
		h.to.Info(m)
	default:
		h.to.Debug(m)
	}
	return nil
}

// each calls f for an attribute, and for those in a group one by one.
func each(group string, a slog.Attr, f func(name string, value slog.Value)) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, inner := range v.Group() {
			each(group, inner, f)
		}
		return
	}
	if a.Key != "" {
		f(strings.Map(labelRune, group+a.Key), v)
	}
}

// labelRune keeps what the names of labels may have.
func labelRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		return r
	}
	return '_'
}

// labelValue is a value as the original's labels have it: a string, a number, or
// true or false.
func labelValue(v slog.Value) log.LabelValue {
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		return v.Any()
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	}
	return v.String()
}
