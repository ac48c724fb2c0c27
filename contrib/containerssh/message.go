package containerssh

import (
	"errors"

	"github.com/containerssh/log"
	original "github.com/containerssh/sshserver"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/sshserver"
)

// uncoded is the code of what has none of its own: a request that was refused.
const uncoded = original.MChannelRequestFailed

// Message makes an error of ours a message of the original's, with its code,
// the words for the user, and its cause. It returns nil for nil, and a message
// as it is.
func Message(err error) log.Message {
	if err == nil {
		return nil
	}
	var m log.Message
	if errors.As(err, &m) {
		return m
	}
	code := backend.Code(err)
	if code == "" {
		code = uncoded
	}
	user := userMessage(err)
	if user == "" {
		user = "The request was refused."
	}
	// The original appends the text of a cause to the explanation.
	var coded *backend.Error
	if errors.As(err, &coded) && coded.Err != nil && coded.Message != "" {
		return log.WrapUser(coded.Err, code, user, "%s", coded.Message)
	}
	return wrapped{log.UserMessage(code, user, "%s", err.Error()), err}
}

// wrapped is a message with a cause that says the same.
type wrapped struct {
	log.Message
	cause error
}

func (w wrapped) Unwrap() error { return w.cause }

// userMessage returns an error's words for the user; "" if it has none.
func userMessage(err error) string {
	var words sshserver.UserMessage
	if errors.As(err, &words) {
		return words.UserMessage()
	}
	return ""
}
