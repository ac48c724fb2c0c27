package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/internal/fakeengine"
)

func TestSettings(t *testing.T) {
	authority := fakeengine.NewAuthority(t)
	cert, key := authority.Client(time.Now().Add(time.Hour))
	_, otherKey := authority.Client(time.Now().Add(time.Hour))
	const tcp = "tcp://127.0.0.1:2376"
	for name, test := range map[string]struct {
		s    Settings
		want string // empty: good
	}{
		"unix":              {Settings{Host: "unix:///run/x.sock"}, ""},
		"tcp":               {Settings{Host: "tcp://localhost:2375/base/"}, ""},
		"tls":               {Settings{Host: tcp, CACert: authority.CA, Cert: cert, Key: key}, ""},
		"empty":             {Settings{}, "empty"},
		"no scheme":         {Settings{Host: "/run/docker.sock"}, "unix:///path"},
		"unknown scheme":    {Settings{Host: "ssh://host"}, `unknown scheme "ssh"`},
		"no port":           {Settings{Host: "tcp://localhost"}, "port"},
		"negative":          {Settings{Host: tcp, Timeout: -1}, "negative"},
		"long path":         {Settings{Host: "unix:///" + strings.Repeat("x", 200)}, "too long"},
		"no PEM":            {Settings{Host: tcp, CACert: "/etc/ca.pem"}, "cacert holds no PEM"},
		"cert alone":        {Settings{Host: tcp, Cert: cert}, "cert without a key"},
		"key alone":         {Settings{Host: tcp, Key: key}, "key without a cert"},
		"another's key":     {Settings{Host: tcp, Cert: cert, Key: otherKey}, "match"},
		"certificates unix": {Settings{Host: "unix:///x", CACert: authority.CA}, "for tcp hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(test.s)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				CloseIdle()
				return
			}
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What is not there is told apart from what may not be used, and names no
// settings from the environment.
func TestUnavailable(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("DOCKER_API_VERSION", "1.30")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for _, host := range []string{"unix://" + t.TempDir() + "/none.sock", "tcp://127.0.0.1:1"} {
		c := open(t, Settings{Host: host})
		_, err := c.Info(testContext(t))
		if !errors.Is(err, ErrUnavailable) || Permanent(err) || !strings.Contains(err.Error(), strings.TrimPrefix(host, "tcp://")) {
			t.Errorf("got %v", err)
		}
	}
	e, _ := fake(t, fakeengine.Options{})
	if _, err := open(t, Settings{Host: e.Host()}).Info(testContext(t)); err != nil {
		t.Error(err)
	}
}
