package engine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refusalLimit bounds what is read of a refusal, in bytes.
const refusalLimit = 64 << 10

// hijack makes a request whose connection becomes a program's streams. The API
// client's own way loses the engine's message when it refuses.
//
// Nothing but the request is sent before the engine has answered: engines drop
// what arrives together with it. What arrives together with the answer is kept.
func (l *link) hijack(ctx context.Context, op string, n *negotiated,
	path string, query url.Values, body any, tty bool) (*Stream, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, l.settings.Timeout, errNoAnswer)
	defer cancel()

	conn, err := l.connect(bounded)
	if err != nil {
		return nil, l.explain(ctx, bounded, op, classify(op, unreachable{l.settings.Host, err}))
	}
	// Closing is what ends a read or write when ctx ends.
	stop := context.AfterFunc(bounded, func() { _ = conn.Close() })
	s, err := upgrade(op, conn, l.upgradeRequest(bounded, n, path, query, body), tty)
	if !stop() && err == nil {
		err = context.Cause(bounded)
	}
	if err != nil {
		_ = conn.Close()
		return nil, l.explain(ctx, bounded, op, classify(op, err))
	}
	return s, nil
}

// connect dials, and shakes hands where there is TLS, for one stream.
func (l *link) connect(ctx context.Context) (net.Conn, error) {
	conn, err := l.dial(ctx)
	if err != nil || l.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, l.tls.Clone())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (l *link) upgradeRequest(ctx context.Context, n *negotiated, path string, query url.Values, body any) *http.Request {
	r := l.request(ctx, n, http.MethodPost, path)
	r.URL.RawQuery = query.Encode()
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "tcp")
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			// Only structures of this package come here, of plain fields.
			panic(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	}
	return r
}

// upgrade sends the request and takes the connection over, if the engine
// agrees.
func upgrade(op string, conn net.Conn, r *http.Request, tty bool) (*Stream, error) {
	closer, ok := conn.(closeWriter)
	if !ok {
		return nil, fail(op, ErrNotImplemented, "a connection of type %T can't be closed for writing alone", conn)
	}
	wrote := r.Write(conn)
	// Also after a failed write: the engine may have said why.
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, r)
	if err != nil {
		if wrote != nil {
			err = fmt.Errorf("%w (%w)", err, wrote)
		}
		return nil, unreachable{r.URL.Host, err}
	}
	if !upgraded(answer) {
		return nil, refusal(op, answer)
	}
	return newStream(conn, closer, reader, tty), nil
}

// upgraded accepts the usual answer, and that of older engines and some
// proxies: a success that is the raw stream.
func upgraded(r *http.Response) bool {
	if r.StatusCode == http.StatusSwitchingProtocols {
		return true
	}
	switch r.Header.Get("Content-Type") {
	case "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream":
		return r.StatusCode == http.StatusOK && !slices.Contains(r.TransferEncoding, "chunked")
	}
	return false
}

// refusal makes an error that carries the engine's message.
func refusal(op string, r *http.Response) error {
	defer func() { _ = r.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(r.Body, refusalLimit))
	var answer struct {
		Message string `json:"message"`
	}
	message := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &answer) == nil && answer.Message != "" {
		message = strings.TrimSpace(answer.Message)
	}
	if r.StatusCode < http.StatusBadRequest { // see upgraded
		return fail(op, ErrNotImplemented, "the engine answered %s and gave no stream; is there a proxy between?", r.Status)
	}
	return refused(op, r.StatusCode, message)
}
