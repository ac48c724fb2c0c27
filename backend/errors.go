package backend

import (
	"errors"
	"log/slog"
)

// Error is what crosses the boundary to a user: a code for logs and filters,
// plain words for the user, and the cause for the log.
type Error struct {
	// Code is stable, for example DOCKER_CONTAINER_CREATE_FAILED.
	Code string
	// User is a sentence for the user that gives nothing away about the host.
	User string
	// Message says to an operator what failed and what to do about it.
	Message string
	// Exit is the exit code that the user's program is reported with; zero
	// means 255, as ssh itself gives for what is not the program's own doing.
	// 126 and 127 say that a program cannot be run or does not exist.
	Exit uint32
	// Err is the cause; may be nil.
	Err error
}

func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = e.User
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// UserMessage is what the user reads.
func (e *Error) UserMessage() string { return e.User }

// LogValue makes the code an attribute of its own.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", e.Code), slog.String("message", e.Error()))
}

// Code returns the code of the first coded error in err's chain, or "".
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// ErrNoSignals is returned by Execution.Signal where a workload has no way to
// deliver signals.
var ErrNoSignals = errors.New("no way to deliver signals to this program")
