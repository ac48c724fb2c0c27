package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
)

// hubServer is the name under which credentials for docker.io are kept.
const hubServer = "https://index.docker.io/v1/"

// tokenUser is what a credential helper gives as the user's name when the
// secret is an identity token.
const tokenUser = "<token>"

// configFile is the part of the engine client's config.json that is about
// registries.
type configFile struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	// CredentialsStore and CredentialHelpers name programs called
	// docker-credential-NAME: for all registries, and for single ones.
	CredentialsStore  string            `json:"credsStore"`
	CredentialHelpers map[string]string `json:"credHelpers"`
}

// registryCredentials finds the credentials for a registry in config.json in
// $DOCKER_CONFIG or ~/.docker, encoded for the engine. Having none is no error
// and gives "". The file is read each time: credentials change.
func registryCredentials(ctx context.Context, domain string) (string, error) {
	directory := os.Getenv("DOCKER_CONFIG")
	if directory == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", nil // a service without a home has no such file
		}
		directory = filepath.Join(home, ".docker")
	}
	name := filepath.Join(directory, "config.json")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read registry credentials: %w", err)
	}
	var file configFile
	if err := json.Unmarshal(text, &file); err != nil {
		return "", fmt.Errorf("read registry credentials in %s: %w", name, err)
	}
	auth, err := file.find(ctx, domain)
	if err != nil || auth == (registry.AuthConfig{}) {
		return "", err
	}
	encoded, err := authconfig.Encode(auth)
	if err != nil {
		return "", fmt.Errorf("registry credentials: %w", err)
	}
	return encoded, nil
}

func (f *configFile) find(ctx context.Context, domain string) (registry.AuthConfig, error) {
	server := domain
	if domain == "docker.io" {
		server = hubServer
	}
	helper := f.CredentialsStore
	if h, ok := f.CredentialHelpers[server]; ok {
		helper = h
	} else if h, ok := f.CredentialHelpers[domain]; ok {
		helper = h
	}
	if helper != "" {
		return askHelper(ctx, helper, server)
	}
	for key, entry := range f.Auths {
		if key != server && hostOf(key) != hostOf(server) {
			continue
		}
		auth := registry.AuthConfig{
			Username: entry.Username, Password: entry.Password, ServerAddress: key,
			IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
		}
		if entry.Auth != "" {
			pair, err := base64.StdEncoding.DecodeString(entry.Auth)
			username, password, ok := strings.Cut(string(pair), ":")
			if err != nil || !ok {
				return registry.AuthConfig{}, fmt.Errorf("the registry credentials for %s are not base64 of user:password", key)
			}
			auth.Username, auth.Password = username, strings.Trim(password, "\x00")
		}
		return auth, nil
	}
	return registry.AuthConfig{}, nil
}

// hostOf reduces https://host/v1/ and host to host: both are found in files.
func hostOf(server string) string {
	server = strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://")
	host, _, _ := strings.Cut(server, "/")
	return host
}

// askHelper speaks the protocol of credential helpers: "get" with the server
// on standard input, a JSON document on standard output.
func askHelper(ctx context.Context, helper, server string) (registry.AuthConfig, error) {
	if strings.ContainsAny(helper, "/\\") {
		return registry.AuthConfig{}, fmt.Errorf("%q is no name of a credential helper", helper)
	}
	program := "docker-credential-" + helper
	command := exec.CommandContext(ctx, program, "get")
	command.Stdin = strings.NewReader(server)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		said := strings.TrimSpace(stdout.String() + stderr.String())
		if strings.Contains(said, "credentials not found in native keychain") {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, fmt.Errorf("credential helper %s: %w: %s", program, err, said)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		return registry.AuthConfig{}, fmt.Errorf("credential helper %s: %w", program, err)
	}
	if answer.Username == tokenUser {
		return registry.AuthConfig{IdentityToken: answer.Secret, ServerAddress: server}, nil
	}
	return registry.AuthConfig{Username: answer.Username, Password: answer.Secret, ServerAddress: server}, nil
}
