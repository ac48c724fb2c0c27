package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/authconfig"
)

func TestRegistryCredentials(t *testing.T) {
	const good = `#!/bin/sh
read server
case "$server" in
reg.example) echo '{"Username":"helped","Secret":"s3"}' ;;
token.example) echo '{"Username":"<token>","Secret":"tok"}' ;;
broken.example) echo "the keyring is locked"; exit 1 ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
`
	const auths = `{"auths":{
		"https://index.docker.io/v1/":{"auth":"aHViOnBhOnNz"},
		"https://old.example/v2/":{"username":"u","password":"p"},
		"bad.example":{"auth":"!"},
		"idt.example":{"identitytoken":"it"}}}`
	for name, test := range map[string]struct {
		config, domain string
		user, password string
		token, err     string
	}{
		"no file":      {domain: "docker.io"},
		"hub":          {config: auths, domain: "docker.io", user: "hub", password: "pa:ss"},
		"address":      {config: auths, domain: "old.example", user: "u", password: "p"},
		"identity":     {config: auths, domain: "idt.example", token: "it"},
		"not listed":   {config: auths, domain: "else.example"},
		"bad base64":   {config: auths, domain: "bad.example", err: "bad.example"},
		"bad JSON":     {config: `{`, domain: "docker.io", err: "config.json"},
		"helper":       {config: `{"credHelpers":{"reg.example":"test"}}`, domain: "reg.example", user: "helped", password: "s3"},
		"store":        {config: `{"credsStore":"test"}`, domain: "token.example", token: "tok"},
		"store has it": {config: `{"credsStore":"test"}`, domain: "nothing.example"},
		"locked":       {config: `{"credsStore":"test"}`, domain: "broken.example", err: "the keyring is locked"},
		"no helper":    {config: `{"credsStore":"absent"}`, domain: "docker.io", err: "docker-credential-absent"},
		"path":         {config: `{"credsStore":"../x"}`, domain: "docker.io", err: "no name"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			t.Setenv("DOCKER_CONFIG", directory)
			t.Setenv("PATH", directory+string(os.PathListSeparator)+os.Getenv("PATH"))
			write(t, filepath.Join(directory, "docker-credential-test"), good, 0o700)
			if test.config != "" {
				write(t, filepath.Join(directory, "config.json"), test.config, 0o600)
			}
			encoded, err := registryCredentials(testContext(t), test.domain)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || encoded != "" {
					t.Errorf("got %q, %v", encoded, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.user == "" && test.token == "" {
				if encoded != "" {
					t.Errorf("got %q", encoded)
				}
				return
			}
			auth, err := authconfig.Decode(encoded)
			if err != nil || auth.Username != test.user || auth.Password != test.password || auth.IdentityToken != test.token {
				t.Errorf("got %+v, %v", auth, err)
			}
		})
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
