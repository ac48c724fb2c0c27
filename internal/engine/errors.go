package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errhttp"
	"github.com/moby/moby/client"
)

// The kinds of failure, to be found with errors.Is. An error of none of these
// kinds is a fault inside of the engine.
var (
	// ErrNotFound: no such container, image or program, or no such file in an
	// image.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the state of things does not allow it: a name in use, a
	// container that does not run.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the request, or the Settings, can't be right at any time.
	ErrInvalid = errors.New("invalid")
	// ErrUnauthorized: a registry wants (other) credentials, or engine and
	// client do not accept each other's certificates.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: the engine, or the permissions of its socket, do not allow
	// it.
	ErrForbidden = errors.New("forbidden")
	// ErrNotImplemented: this engine can't do that, or is too old.
	ErrNotImplemented = errors.New("not implemented")
	// ErrUnavailable: the engine can't be reached, has hung up, or has not
	// answered in time. It may be restarting, so Retry goes on.
	ErrUnavailable = errors.New("engine unavailable")
)

// Permanent tells whether trying again is pointless: everything that is not
// found, in conflict, invalid, unauthorized, forbidden, not implemented, or
// cancelled by the caller.
func Permanent(err error) bool {
	for _, kind := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrUnauthorized,
		ErrForbidden, ErrNotImplemented, context.Canceled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Lost tells whether err is that the engine's answer has not come: then it may
// have done what it was asked for all the same.
func Lost(err error) bool {
	return errors.Is(err, context.Canceled) || err != nil && !Permanent(err) && !errdefs.IsInternal(err)
}

// failure is an error with its kind.
type failure struct {
	// op says what was tried, such as "start container".
	op string
	// kind is a sentinel; nil for a fault inside of the engine.
	kind error
	// message is the engine's own.
	message string
	// cause may be nil.
	cause error
}

func (f *failure) Error() string { return f.op + ": " + f.message }

func (f *failure) Unwrap() []error {
	var errs []error
	if f.kind != nil {
		errs = append(errs, f.kind)
	}
	if f.cause != nil {
		errs = append(errs, f.cause)
	}
	return errs
}

// fail makes an error of a kind with a message of our own, that may wrap.
func fail(op string, kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &failure{op: op, kind: kind, message: err.Error(), cause: err}
}

// classify gives an error of the API client, or of a connection to the engine,
// its kind.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *failure
	if errors.As(err, &known) {
		return err
	}
	message := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	return &failure{op: op, kind: kindOf(err, message), message: message, cause: err}
}

// refused makes the error for an answer with a status that is no success.
func refused(op string, status int, message string) error {
	if message == "" {
		message = fmt.Sprintf("the engine answered %d %s and no message", status, http.StatusText(status))
	}
	kind := kindOfMessage(message)
	if kind == nil {
		kind = kindOf(errhttp.ToNative(status), message)
	}
	return &failure{op: op, kind: kind, message: message}
}

func kindOf(err error, message string) error {
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	var unreached unreachable
	switch {
	case err == nil:
		return kindOfMessage(message)
	case errors.As(err, &certificate):
		return ErrUnauthorized
	// crypto/tls reports the other side's alerts in this way: our certificate
	// is missing, unknown or expired.
	case errors.As(err, &network) && network.Op == "remote error":
		return ErrUnauthorized
	case errors.Is(err, os.ErrPermission),
		// The API client drops the cause here and leaves the text.
		client.IsErrConnectionFailed(err) && strings.HasPrefix(message, "permission denied"):
		return ErrForbidden
	case client.IsErrConnectionFailed(err), errors.As(err, &unreached):
		return ErrUnavailable
	case errdefs.IsNotFound(err):
		return ErrNotFound
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err):
		return ErrConflict
	case errdefs.IsUnauthorized(err):
		return ErrUnauthorized
	case errdefs.IsPermissionDenied(err):
		return ErrForbidden
	case errdefs.IsNotImplemented(err):
		return ErrNotImplemented
	case errdefs.IsUnavailable(err):
		return ErrUnavailable
	}
	if kind := kindOfMessage(message); kind != nil {
		return kind
	}
	if errdefs.IsInvalidArgument(err) || errdefs.IsFailedPrecondition(err) {
		return ErrInvalid
	}
	return nil
}

// kindOfMessage knows the words of what comes without a telling status: Podman
// 4 answers most refusals with 500, and Docker too when a registry refuses.
func kindOfMessage(message string) error {
	m := strings.ToLower(message)
	for _, known := range []struct {
		kind  error
		words []string
	}{
		{ErrUnauthorized, []string{"unauthorized", "authentication required", "no basic auth credentials",
			"incorrect username or password", "access to the resource is denied", "requested access to the resource",
			"pull access denied"}},
		{ErrNotFound, []string{"no such container", "no such image", "no such exec", "manifest unknown",
			"name unknown", "repository not found", "no container with name or id", "no exec session with id",
			"image not known"}},
		{ErrConflict, []string{"is already in use", "container state improper", "is not running",
			"can only create exec sessions on running containers", "container is paused",
			"removal of container", "being removed"}},
		{ErrNotFound, []string{"manifest for ", "no matching manifest"}},
		// A command that can't be run. Docker says 400 to it.
		{ErrInvalid, []string{"attempted to invoke a command that was not found", "executable file not found",
			"oci permission denied"}},
	} {
		for _, words := range known.words {
			if strings.Contains(m, words) {
				return known.kind
			}
		}
	}
	return nil
}
