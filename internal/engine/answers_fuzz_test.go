package engine

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever an engine reports of a pull, it is read to its end or refused, and
// what fails never passes for a success.
func FuzzProgress(f *testing.F) {
	f.Add([]byte(`{"status":"Pulling from x","id":"latest"}` + "\r\n" + `{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"a"}`))
	f.Add([]byte(`{"errorDetail":{"code":401,"message":"unauthorized"},"error":"unauthorized"}`))
	f.Add([]byte(`{"error":" "}` + "\n\n" + `{"status":5}`))
	f.Add([]byte("{\"status\":\"" + strings.Repeat("x", 5000)))
	f.Fuzz(func(t *testing.T, news []byte) {
		n := 0
		err := readProgress("pull", "host", bytes.NewReader(news), func(p PullProgress) {
			if n++; p.Status == "" {
				t.Error("progress without a word")
			}
		})
		if err == nil && n > bytes.Count(news, []byte("\n"))+1 {
			t.Errorf("%d reports of %d lines", n, bytes.Count(news, []byte("\n"))+1)
		}
		if err == nil && bytes.HasPrefix(news, []byte(`{"error":"x`)) && bytes.HasSuffix(news, []byte(`"}`)) && !bytes.Contains(news[10:len(news)-2], []byte(`"`)) {
			t.Errorf("%q is a success", news)
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

// answered is a connection that has been answered already.
type answered struct {
	net.Conn
	said *bytes.Reader
}

func (a answered) Read(b []byte) (int, error)  { return a.said.Read(b) }
func (a answered) Write(b []byte) (int, error) { return len(b), nil }
func (a answered) CloseWrite() error           { return nil }

// Whatever answers to a hijack, it is a stream with all that comes after the
// answer, or an error in words.
func FuzzUpgrade(f *testing.F) {
	const yes = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	f.Add([]byte(yes + "hello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 30\r\n\r\n{\"message\":\"No such container\"}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n<html>"))
	f.Add([]byte("HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx"))
	f.Fuzz(func(t *testing.T, said []byte) {
		r, err := http.NewRequest(http.MethodPost, "http://engine/containers/x/attach", nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := upgrade("attach", answered{said: bytes.NewReader(said)}, r, true)
		if err != nil {
			if text := err.Error(); text == "" || len(text) > 8*refusalLimit {
				t.Errorf("an error of %d bytes", len(text))
			}
			return
		}
		rest, err := io.ReadAll(s)
		if err != nil || !bytes.HasSuffix(said, rest) {
			t.Errorf("%q, %v", rest, err)
		}
		if after, ok := bytes.CutPrefix(said, []byte(yes)); ok && !bytes.Equal(rest, after) {
			t.Errorf("%q, want %q", rest, after)
		}
	})
}

// FuzzKind: an engine's words are of one kind, whatever they are.
func FuzzKind(f *testing.F) {
	f.Add(404, "No such container: x")
	f.Add(500, "pull access denied")
	f.Add(409, "")
	f.Add(99, "\xff")
	f.Fuzz(func(t *testing.T, status int, message string) {
		err := refused("x", status, message)
		if err == nil || message != "" && utf8.ValidString(message) && !strings.Contains(err.Error(), message) {
			t.Errorf("%d %q is %v", status, message, err)
		}
	})
}
