package engine

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/moby/moby/client"
)

// request makes a request without a body, for what the API client can't do.
func (l *link) request(ctx context.Context, n *negotiated, method, path string) *http.Request {
	u := &url.URL{Scheme: l.scheme(), Host: l.address.hostport,
		Path: l.address.path + "/v" + n.info.APIVersion + path}
	if l.address.network != "tcp" {
		u.Host = client.DummyHost
	}
	return (&http.Request{
		Method: method, URL: u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"berth"}},
	}).WithContext(ctx)
}

// get makes a unary request and decodes its answer.
func (l *link) get(ctx context.Context, op, path string, to any) error {
	n, err := l.negotiate(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout, errNoAnswer)
	defer cancel()
	answer, err := l.transport.RoundTrip(l.request(bounded, n, http.MethodGet, path))
	switch {
	case err != nil:
		err = unreachable{l.settings.Host, err}
	case answer.StatusCode != http.StatusOK:
		err = refusal(op, answer)
	default:
		if err = json.NewDecoder(answer.Body).Decode(to); err != nil {
			err = unreachable{l.settings.Host, err}
		}
		_ = answer.Body.Close()
	}
	return l.explain(ctx, bounded, op, classify(op, err))
}

// unreachable is an error of the connection itself.
type unreachable struct {
	host string
	err  error
}

func (u unreachable) Error() string {
	return "the connection to the engine at " + u.host + " failed: " + u.err.Error()
}

func (u unreachable) Unwrap() error { return u.err }
