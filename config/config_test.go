package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-ssh/berth/config/internal/sourcedoc"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/settings"
	"github.com/berth-ssh/berth/sshserver"
)

var sameConfig = cmpopts.IgnoreUnexported(docker.ExecutionConfig{})

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "{}", "ssh:\nauth:\n", "null"} {
		got, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Default(), got, sameConfig); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	d := Default()
	if d.SSH.Listen != "127.0.0.1:2222" || d.SSH.DrainTimeout != 30*time.Second || !d.OwnImage() {
		t.Errorf("got %+v", d)
	}
	if err := d.Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
}

const fullYAML = `ssh:
  listen: ":22"
  hostKeys: [keys/host, /abs/host]
  banner: |
    Hello.
    Goodbye.
  serverVersion: SSH-2.0-Lab
  maxAuthTries: 3
  handshakeTimeout: 30s
  keepAlive: {interval: 10s, countMax: 2}
  maxConnections: 10
  maxChannels: -1
  algorithms:
    ciphers: [aes256-gcm@openssh.com]
  drainTimeout: 1m
auth:
  publicKey:
    files: [keys/users]
docker:
  connection:
    host: tcp://engine.example:2375
  execution:
    mode: session
    container:
      image: debian:12
      user: 01000
      stoptimeout: 5
      some_future_key: {a: b}
    host:
      umask: 0022
      resources: {memory: 0x1000}
    subsystems: {}
  timeouts:
    http: 5000000000
log:
  level: debug
  format: json
`

func TestParse(t *testing.T) {
	c, err := Parse("/etc/berth/berth.yaml", []byte(fullYAML))
	if err != nil {
		t.Fatal(err)
	}
	s := c.SSH
	if s.Listen != ":22" || s.Banner != "Hello.\nGoodbye.\n" || s.ServerVersion != "SSH-2.0-Lab" || s.MaxAuthTries != 3 ||
		s.HandshakeTimeout != 30*time.Second || s.KeepAlive != (KeepAlive{10 * time.Second, 2}) || s.MaxConnections != 10 ||
		s.MaxChannels != -1 || s.DrainTimeout != time.Minute {
		t.Errorf("ssh: %+v", s)
	}
	if diff := cmp.Diff([]string{"/etc/berth/keys/host", "/abs/host"}, s.HostKeys); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/etc/berth/keys/users"}, c.Auth.PublicKey.Files); diff != "" {
		t.Error(diff)
	}
	if len(s.Algorithms.Ciphers) != 1 || len(s.Algorithms.MACs) == 0 {
		t.Errorf("algorithms: %+v", s.Algorithms)
	}
	x := c.Docker.Execution
	if x.Launch.ContainerConfig.User != "01000" {
		t.Errorf("user is %q: a string must be taken as it is written", x.Launch.ContainerConfig.User)
	}
	if got := x.Launch.HostConfig; *got.Umask != 0o22 || got.Memory != 0x1000 {
		t.Errorf("umask %o, memory %d", *got.Umask, got.Memory)
	}
	if x.Subsystems == nil || len(x.Subsystems) != 0 {
		t.Errorf("subsystems: %v, want none", x.Subsystems)
	}
	if c.Docker.Timeouts.HTTP != 5*time.Second || c.Docker.Timeouts.Window != time.Minute {
		t.Errorf("timeouts: %+v", c.Docker.Timeouts)
	}
}

func TestHomeDirectory(t *testing.T) {
	t.Setenv("HOME", "/home/someone")
	c, err := Parse("/etc/x.yaml", []byte("auth: {publicKey: {files: [~/.ssh/authorized_keys]}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Auth.PublicKey.Files[0]; got != "/home/someone/.ssh/authorized_keys" {
		t.Errorf("got %s", got)
	}
}

func TestJSONFiles(t *testing.T) {
	text := "{\n\t\"ssh\": {\"banner\": \"a\\u00e9\\ud83d\\ude00\\/\\n\"},\n\t\"docker\": {\"execution\": {\"container\": {\"Image\": \"x\", \"Env\": [\"A=\\t\"]}}}\n}\n"
	c, err := Parse("x.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.SSH.Banner != "aé😀/\n" {
		t.Errorf("banner %q", c.SSH.Banner)
	}
	if got := c.Docker.Execution.Launch.ContainerConfig; got.Image != "x" || got.Env[0] != "A=\t" {
		t.Errorf("container %+v", got)
	}
	_, err = Parse("x.json", []byte("{\n\t\"ssh\": {\n\t\t\"lisen\": \"x\"\n\t}\n}"))
	var list Problems
	if !errors.As(err, &list) || list[0].Line != 3 || list[0].Column != 3 {
		t.Errorf("got %v", err)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	c, err := Parse("x.yaml", []byte(`
docker:
  execution:
    container: &base
      image: one
      labels: {a: b}
  timeouts: &times {signal: 5s, window: 6s}
ssh:
  keepAlive:
    <<: {interval: 7s, countMax: 9}
    countMax: 8
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.SSH.KeepAlive != (KeepAlive{7 * time.Second, 8}) {
		t.Errorf("got %+v", c.SSH.KeepAlive)
	}
	_, err = Parse("x.yaml", []byte(`
ssh: &a
  keepAlive: {interval: 1s}
log:
  <<: *a
`))
	if err == nil || !strings.Contains(err.Error(), `unknown key "keepAlive"`) {
		t.Errorf("a merged key that does not belong there: %v", err)
	}
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // the beginnings of the lines
	}{
		"unknown key":     {"ssh:\n  lisen: x\n", []string{`f.yaml:2:3: ssh: unknown key "lisen"; did you mean "listen"?`}},
		"unknown top key": {"shh: {}\n", []string{`f.yaml:1:1: unknown key "shh"; did you mean "ssh"?`}},
		"wrong case":      {"SSH: {}\n", []string{`f.yaml:1:1: unknown key "SSH"; did you mean "ssh"?`}},
		"a level too high": {"docker:\n  execution:\n    image: x\n", []string{
			`f.yaml:3:5: docker.execution: unknown key "image"; did you mean "image" in "container"?`}},
		"wrong types": {"ssh:\n  listen: [a]\n  maxChannels: many\n  keepAlive: 5s\n", []string{
			"f.yaml:2:3: ssh.listen: must be a string, not a list",
			`f.yaml:3:16: ssh.maxChannels: must be a whole number, not "many"`,
			`f.yaml:4:14: ssh.keepAlive: must be a section with keys, not "5s"`}},
		"duration": {"docker:\n  timeouts:\n    http: 5\n    signal: 5 seconds\n", []string{
			`f.yaml:4:13: docker.timeouts.signal: "5 seconds" is not a duration`}},
		"in a list": {"docker:\n  execution:\n    idleCommand:\n    - a\n    - {b: c}\n", []string{
			"f.yaml:5:7: docker.execution.idleCommand[1]: must be a string, not a section"}},
		"engine's own": {"docker:\n  execution:\n    container:\n      image: x\n      tty: maybe\n      nonsense: 5\n", []string{
			`f.yaml:5:12: docker.execution.container.tty: must be true or false, not "maybe"`}},
		"validation": {"docker:\n  execution:\n    mode: conection\n    container: {image: 'A B'}\n  connection: {host: /x}\nlog: {level: loud}\n", []string{
			`f.yaml:3:11: docker.execution.mode: "conection" is not known; did you mean "connection"?`,
			`f.yaml:4:24: docker.execution.container.image: "A B" is not the name of an image`,
			"f.yaml:5:22: docker.connection.host: ",
			"f.yaml:6:14: log.level: "}},
		"algorithm": {"ssh:\n  algorithms:\n    ciphers: [aes128-gcm]\n", []string{`f.yaml:3:5: ssh.algorithms.ciphers: unknown cipher "aes128-gcm"; did you mean "aes128-gcm@openssh.com"?`}},
		"missing": {"docker:\n  connection:\n    host: tcp://a:1\n    cert: x\n", []string{
			"f.yaml:2:3: docker.connection.key: is missing"}},
		"twice":           {"ssh:\n  banner: a\n  banner: b\n", []string{"f.yaml:3:3: "}},
		"syntax":          {"ssh: [\n", []string{"f.yaml:1:6: "}},
		"bad indentation": {"ssh:\n  banner: a\n listen: b\n", []string{"f.yaml:"}},
		"no anchor":       {"ssh: *x\n", []string{"f.yaml:1:6: the alias *x has no anchor"}},
		"itself":          {"ssh: &x\n  keepAlive: *x\n", []string{"f.yaml:2:14: the alias *x has no anchor"}},
		"two documents":   {"ssh: {}\n---\nlog: {}\n", []string{"f.yaml:3:"}},
		"not a section":   {"hello\n", []string{"f.yaml: must be a section with keys"}},
		"listen":          {"ssh: {listen: '2222'}\n", []string{`f.yaml:1:15: ssh.listen: "2222" must be host:port`}},
		"port":            {"ssh: {listen: ':99999'}\n", []string{`f.yaml:1:15: ssh.listen: port "99999"`}},
		"version":         {"ssh: {serverVersion: 'SSH-2.0-a b'}\n", []string{"f.yaml:1:22: ssh.serverVersion: "}},
		"startups":        {"ssh:\n  maxStartups: 10:30:5\n", []string{"f.yaml:2:16: ssh.maxStartups: full is 5, which is below the start, 10"}},
		"source":          {"ssh:\n  perSource: {prefixIPv6: 129}\n", []string{"f.yaml:2:3: ssh.perSource: 129 is no length of a prefix of IPv6 addresses, 1 to 128"}},
		"penalties":       {"ssh:\n  penalties: {max: 1s}\n", []string{"f.yaml:2:3: ssh.penalties: the maximum of penalties, 1s, is below their minimum, 30s"}},
		"overflow":        {"ssh:\n  penalties: {overflow: no}\n", []string{`f.yaml:2:3: ssh.penalties: there is no overflow policy "no"`}},
		"exempt":          {"ssh:\n  penalties: {exempt: [192.0.2]}\n", []string{`f.yaml:2:15: ssh.penalties.exempt: "192.0.2" is neither an address nor a network such as 192.0.2.0/24`}},
		"negative":        {"ssh: {drainTimeout: -1s}\n", []string{"f.yaml:1:21: ssh.drainTimeout: -1s is negative"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(lines), len(c.want), err)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got  %s\nwant %s", lines[i], want)
				}
			}
		})
	}
}

func TestAliasesDoNotFillTheMemory(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 40; i++ {
		n := string(rune('A' + i))
		last := string(rune('A' + i - 1))
		if i == 1 {
			last = "a0"
		}
		b.WriteString(n + ": &" + n + " [" + strings.TrimSuffix(strings.Repeat("*"+last+", ", 9), ", ") + "]\n")
	}
	if _, err := Parse("x.yaml", []byte(b.String())); err == nil {
		t.Error("no error")
	}
}

func TestExcerpt(t *testing.T) {
	_, err := Parse("f.yaml", []byte("ssh:\n  lisen: x\n"))
	var list Problems
	if !errors.As(err, &list) {
		t.Fatal(err)
	}
	if got, want := list[0].Excerpt(), "     2 |   lisen: x\n       |   ^\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLimits(t *testing.T) {
	c, err := Parse("f.yaml", []byte("ssh:\n  maxConnections: 1000\n  maxStartups: 10:30:100\n  penalties: {exempt: [192.0.2.7, '2001:db8::1/32']}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := c.SSH
	if s.MaxStartups != (sshserver.Startups{Start: 10, Rate: 30, Full: 100}) || s.PerSource.MaxConnections != 250 || s.MaxConnectionsPerUser != 250 {
		t.Errorf("%+v", s)
	}
	penalties, err := s.Penalties.Server()
	if got := fmt.Sprint(penalties.Exempt); err != nil || got != "[192.0.2.7/32 2001:db8::/32]" {
		t.Errorf("exempt are %s, %v", got, err)
	}
	// Nobody is not the default, which is this machine.
	for text, want := range map[string]int{"ssh: {penalties: {exempt: []}}": 0, "": 2} {
		c, err := Parse("f.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		penalties, err := c.SSH.Penalties.Server()
		if err != nil || penalties.Exempt == nil || len(penalties.Exempt) != want {
			t.Errorf("%q: exempt are %v, %v", text, penalties.Exempt, err)
		}
	}
	for limit, want := range map[int]int{0: 1024, -1: -1, 10: 64, 8000: 2000} {
		c := Config{SSH: SSH{MaxConnections: limit}}.WithDefaults()
		if got := c.SSH.PerSource.MaxConnections; got != want {
			t.Errorf("of %d connections a source may have %d, want %d", limit, got, want)
		}
	}
}

// A private key does not end in a log.
func TestSecretsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"docker:\n  connection:\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      c2VjcmV0\n   bad: [\n      -----END PRIVATE KEY-----\n",
		"docker:\n  connection:\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      c2VjcmV0\n      -----END PRIVATE KEY-----\n",
		"docker:\n  connection:\n    key: [c2VjcmV0]\n",
		"docker:\n  connection:\n    key: \"-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n\"\n    cert: x\n",
	} {
		_, err := Parse("f.yaml", []byte(text))
		var list Problems
		if !errors.As(err, &list) {
			t.Errorf("%q: %v", text, err)
		}
		for _, p := range list {
			if shown := p.Error() + p.Excerpt(); strings.Contains(shown, "c2VjcmV0") {
				t.Errorf("a secret is shown:\n%s", shown)
			}
		}
	}
	c := Default()
	c.Docker.Connection.Key = "secret"
	if masked := c.Masked(); masked.Docker.Connection.Key == "secret" || c.Docker.Connection.Key != "secret" {
		t.Error("masking")
	}
}

// What `berth config show` prints is a configuration, the same one.
func TestShownConfigurationIsReadAgain(t *testing.T) {
	want, err := Parse("/etc/berth/f.yaml", []byte(fullYAML))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Config{want, Default()} {
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("/elsewhere/f.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(c, got, sameConfig); diff != "" {
			t.Errorf("%s\n%s", diff, text)
		}
		if i, j := bytes.Index(text, []byte("ssh:")), bytes.Index(text, []byte("docker:")); i != 0 || j < i {
			t.Errorf("not in the order of the reference:\n%s", text)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "berth.yaml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("auth: {publicKey: {files: [users]}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Auth.PublicKey.Files[0]; got != filepath.Join(dir, "users") {
		t.Errorf("got %s", got)
	}
}

func TestCheckLooksAtFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "berth.yaml")
	text := `ssh:
  hostKeys:
    - missing
auth:
  publicKey:
    files:
      - users
    keys:
      - rubbish
`
	for name, content := range map[string]string{"berth.yaml": text, "users": "\nno-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlKB8WI4F9nYjpY9bnUnWyVR9vvBSHRxvDUO2lAeM1N x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	problems, warnings := Check(path)
	want := []string{
		path + ":3:7: ssh.hostKeys[0]: host key: ",
		path + ":7:9: auth.publicKey.files[0]: " + filepath.Join(dir, "users") + ":2: option no-pty ",
		path + ":9:9: auth.publicKey.keys[0]: is no public key",
	}
	if len(problems) != len(want) {
		t.Fatalf("got\n%v", problems)
	}
	for i := range want {
		if !strings.HasPrefix(problems[i].Error(), want[i]) {
			t.Errorf("got  %v\nwant %s", problems[i], want[i])
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "nobody can log in") {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestSurprises(t *testing.T) {
	for text, want := range map[string]string{
		"ssh: {listen: ':2222'}":                                            "listens on :2222 for others",
		"docker: {execution: {host: {Privileged: true}}}":                   "f.yaml:1:",
		"docker: {execution: {host: {binds: ['/var/run/docker.sock:/s']}}}": "as good as root",
		"docker: {execution: {host: {networkmode: host}}}":                  "networkmode",
		"docker: {execution: {host: {capadd: [cap_sys_admin]}}}":            "SYS_ADMIN makes every user",
		"docker: {execution: {host: {pidmode: host}}}":                      "pidmode",
		"docker: {execution: {containername: one}}":                         "a second user",
		"docker: {execution: {idleCommand: ['sleep infinity']}}":            "name of one program",
		"docker: {connection: {host: 'tcp://192.0.2.1:2375'}}":              "without TLS",
	} {
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		problems, warnings := Check(path)
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
		}
		if !strings.Contains(warnings.Error(), want) {
			t.Errorf("%s: nothing about %q in\n%v", text, want, warnings)
		}
	}
}

// Run `make docs` when this fails.
func TestReferenceIsUpToDate(t *testing.T) {
	fresh, err := sourcedoc.Comments(".", "../docker")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fresh, comments()); diff != "" {
		t.Errorf("comments.json is not what the source says:\n%s", diff)
	}
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Reference() {
		t.Error("docs/configuration.md is not what the source says")
	}
	for _, f := range settings.Fields(reflect.TypeFor[Config]()) {
		checkCommented(t, f, f.Key)
	}
}

func checkCommented(t *testing.T, f settings.Field, path string) {
	if fieldComment(f) == "" {
		t.Errorf("%s has no comment for users", path)
	}
	if isSection(f.Go.Type) {
		for _, inner := range settings.Fields(f.Go.Type) {
			checkCommented(t, inner, path+"."+inner.Key)
		}
	}
}

func TestExampleIsValid(t *testing.T) {
	if _, err := Parse("example.yaml", []byte(exampleText)); err != nil {
		t.Error(err)
	}
}

func TestSchema(t *testing.T) {
	schema, err := Schema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text string) error {
		asJSON, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var instance any
		if err := json.Unmarshal(asJSON, &instance); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
	for _, text := range []string{"{}", exampleText, fullYAML} {
		if err := valid(text); err != nil {
			t.Errorf("%v for\n%s", err, text)
		}
	}
	shown, err := Default().YAML()
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(string(shown)); err != nil {
		t.Errorf("%v for\n%s", err, shown)
	}
	for _, text := range []string{
		"shh: {}", "ssh: {lisen: x}", "ssh: {listen: [x]}", "docker: {execution: {mode: x}}", "docker: {timeouts: {http: true}}",
		"docker: {execution: {container: {Tty: 5}}}", "log: {level: loud}",
	} {
		if valid(text) == nil {
			t.Errorf("valid: %s", text)
		}
	}
	if got := Schema().Properties["docker"].Properties["execution"].Properties["mode"]; got.Description == "" || len(got.Enum) != 2 {
		t.Errorf("docker.execution.mode: %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fullYAML))
	f.Add([]byte("{\"ssh\":\t{}}"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? x\n: !!str 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("x", text)
		if err == nil && c.Validate() != nil {
			t.Error("an invalid configuration")
		}
	})
}
