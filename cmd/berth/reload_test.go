package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/internal/testberth"
	"github.com/berth-ssh/berth/internal/testguest"
)

// A file that is read again is for who comes from then on, the pool included; one
// with mistakes is for nobody.
func TestReload(t *testing.T) {
	mark := label(t)
	image := testguest.Busybox(t)
	file := func(greeting, more string) string {
		text := lab(mark, image, "shellCommand: [/bin/sh]")
		text = strings.Replace(text, "networkdisabled: true", "networkdisabled: true, env: [GREETING="+greeting+"]", 1)
		return strings.Replace(text, "docker:\n", "docker:\n  pool: {min: 1, max: 1}\n", 1) + more
	}
	s := testberth.Start(t, file("one", ""), t.TempDir())
	greets := func(want string) {
		t.Helper()
		if got, err := s.SSH(t.Context(), "echo $GREETING").CombinedOutput(); err != nil || string(got) != want+"\n" {
			t.Errorf("a container greets with %q, %v, and not %q", got, err, want)
		}
	}
	// logged waits for the next line of the log with some words.
	seen := 0
	logged := func(words string) {
		t.Helper()
		waitFor(t, words, func() bool { return strings.Contains(s.Log()[seen:], words) })
		seen = len(s.Log())
	}
	one := func() (id string) {
		waitFor(t, "one container that waits", func() bool {
			list := containers(t, mark)
			if len(list) == 1 {
				id = list[0]
			}
			return len(list) == 1
		})
		return id
	}
	greets("one")
	old := one()

	s.Configure(file("two", ""))
	logged("has been read again")
	waitFor(t, "what has waited to be gone", func() bool { return !slices.Contains(containers(t, mark), old) })
	one()
	greets("two")

	s.Configure(strings.Replace(file("three", ""), "min: 1", "min: -1", 1))
	logged("docker.pool.min: -1 is negative")
	greets("two")

	s.Configure(strings.Replace(file("four", "metrics: {listen: '127.0.0.1:0'}\n"), "ssh: {", "ssh: {banner: hello, ", 1))
	logged(`settings="ssh.banner, metrics.listen"`)
	greets("four")

	// A client whose key is not listed any more.
	s.Configure(file("five", "auth: {publicKey: {keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]}}\n"))
	logged("has been read again")
	if got, err := s.SSH(t.Context(), "true").CombinedOutput(); err == nil || !strings.Contains(string(got), "Permission denied") {
		t.Errorf("a key that is not listed: %q, %v", got, err)
	}
}

// What a running server can't change is named, and nothing else.
func TestWaitsForRestart(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"auth: {publicKey: {keys: [x]}}\ndocker: {pool: {min: 1}, timeouts: {http: 1s}}": "",
		"ssh: {maxChannels: 7, forwarding: {disableAgent: true}}\nlog: {level: warn}":    "ssh.forwarding, ssh.maxChannels, log.level",
		"docker: {connection: {host: 'tcp://192.0.2.1:1'}}":                              "docker.connection.host",
	} {
		c, err := config.Parse("berth.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := waitsForRestart(config.Default(), c)
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
