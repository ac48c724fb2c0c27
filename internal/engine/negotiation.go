package engine

import (
	"context"
	"strings"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// oldestAPI is the first version whose ways this package knows: Docker Engine
// 19.03.
const oldestAPI = "1.40"

// consoleSizeAPI is the first version that takes a terminal's size with an exec.
const consoleSizeAPI = "1.42"

// negotiated is what one negotiation gave; immutable.
type negotiated struct {
	info Info
	// api has its version fixed: it never asks, and never guesses.
	api *client.Client
}

func (n *negotiated) since(version string) bool {
	return versions.GreaterThanOrEqualTo(n.info.APIVersion, version)
}

// negotiate asks the engine what it is, once: callers at the same time wait
// for one answer. A failure is given to whoever asked, and is not remembered.
func (l *link) negotiate(ctx context.Context) (*negotiated, error) {
	const op = "reach the engine"
	for {
		l.mu.Lock()
		if n := l.negotiated; n != nil {
			l.mu.Unlock()
			return n, nil
		}
		if f := l.flight; f != nil {
			l.mu.Unlock()
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, fail(op, nil, "waited for its answer: %w", context.Cause(ctx))
			}
			if f.abandoned {
				continue // that caller went away: now it's our turn
			}
			return f.result, f.err
		}
		f := &flight{done: make(chan struct{})}
		l.flight = f
		l.mu.Unlock()

		bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout, errNoAnswer)
		n, err := l.ask(bounded)
		f.result, f.err = n, l.explain(ctx, bounded, op, classify(op, err))
		f.abandoned = err != nil && ctx.Err() != nil
		cancel()

		l.mu.Lock()
		l.negotiated, l.flight = f.result, nil
		l.mu.Unlock()
		close(f.done)
		return f.result, f.err
	}
}

// flight is a negotiation under way. Its results are written before done is
// closed, and read after that.
type flight struct {
	done      chan struct{}
	result    *negotiated
	err       error
	abandoned bool
}

func (l *link) ask(ctx context.Context) (*negotiated, error) {
	const op = "negotiate with the engine"
	anonymous, err := l.client()
	if err != nil {
		return nil, err
	}
	// The client's own negotiation takes its newest version when the answer
	// has none, and goes on with it after a failure.
	ping, err := anonymous.Ping(ctx, client.PingOptions{})
	if err != nil {
		return nil, err
	}
	version := ping.APIVersion
	switch {
	case !plausible(version):
		return nil, fail(op, ErrInvalid, "%s does not answer like an engine (its API version is %q)",
			l.settings.Host, version)
	case versions.LessThan(version, oldestAPI):
		return nil, fail(op, ErrNotImplemented,
			"the engine has API version %s and this needs %s (Docker Engine 19.03, Podman 4): update the engine",
			version, oldestAPI)
	case versions.GreaterThan(version, client.MaxAPIVersion):
		version = client.MaxAPIVersion
	}
	api, err := l.client(client.WithAPIVersion(version))
	if err != nil {
		return nil, err
	}
	server, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return nil, err
	}
	n := &negotiated{api: api, info: Info{
		APIVersion:   version,
		Architecture: goarch(server.Arch),
		OS:           server.Os,
	}}
	for _, component := range server.Components {
		if strings.Contains(strings.ToLower(component.Name), "podman") {
			n.info.Podman = true
		}
	}
	n.info.SizedTerminals = n.info.Podman || n.since("1.42")
	return n, nil
}

// plausible tells whether s is of the form 1.41.
func plausible(s string) bool {
	major, minor, ok := strings.Cut(s, ".")
	digits := func(s string) bool {
		return s != "" && len(s) < 6 && strings.Trim(s, "0123456789") == ""
	}
	return ok && digits(major) && digits(minor)
}

// goarch translates the names of machines that some engines give.
func goarch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "i386", "i686":
		return "386"
	case "armv6l", "armv7l", "armhf":
		return "arm"
	}
	return machine
}
