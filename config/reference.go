package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/berth-ssh/berth/internal/settings"
)

const referenceHead = `<!-- Made by "make docs" from the comments of the Go structures. Edit those. -->

# Configuration

` + "`berth serve --config FILE`" + ` reads one file, YAML or JSON. Every key may be left out:
an empty file is the default configuration. Unknown keys are errors, with a line
and a suggestion; only the Engine API's own structures (marked below) ignore what
they don't know.

    berth config check FILE           says what is wrong, or will surprise, before use
    berth config show --config FILE   the configuration in effect, defaults included
    berth config schema               the JSON schema, for editors

SIGHUP has a running server read the file again, for connections from then on:
` + "`auth`, and all of `docker` but `connection`" + `. Connections that there are stay, also those of keys that are listed no more.
The log names what has changed besides and waits for a restart. A file with mistakes
changes nothing.

A duration is a string such as ` + "`90s`, `5m` or `1h30m`" + `, or a number of nanoseconds.
A relative path is relative to the file's directory; ` + "`~/`" + ` is the home directory.

## Example

` + "```yaml" + `
` + exampleText + "```" + `
`

// exampleText is a file that a test checks.
const exampleText = `ssh:
  listen: ":2222"
  hostKeys: [/etc/berth/ssh_host_ed25519_key]
auth:
  publicKey:
    files: [/etc/berth/authorized_keys]
docker:
  execution:
    container:
      image: debian:12
    host:
      memory: 536870912     # bytes
      pidslimit: 200
      networkmode: none
`

// Reference returns docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, f := range settings.Fields(reflect.TypeFor[Config]()) {
		section(&b, f, f.Key, 2)
	}
	return b.String()
}

// section writes a structure of our own: its keys, then the structures in it.
func section(b *strings.Builder, f settings.Field, path string, level int) {
	fmt.Fprintf(b, "\n%s `%s`\n\n%s\n", strings.Repeat("#", min(level, 4)), path, sentence(f))
	var inner []settings.Field
	first := true
	for _, f := range settings.Fields(f.Go.Type) {
		if isSection(f.Go.Type) {
			inner = append(inner, f)
			continue
		}
		if first {
			b.WriteByte('\n')
			first = false
		}
		text := strings.TrimPrefix(fieldComment(f), f.Key+" ")
		text = strings.ReplaceAll(text, "\n\n", "\n  \n  ")
		fmt.Fprintf(b, "- **`%s`** (%s) %s\n", f.Key, typeName(f.Go.Type), text)
	}
	for _, f := range inner {
		section(b, f, path+"."+f.Key, level+1)
	}
}

// isSection tells whether a key holds a structure of our own that is not written
// as one word.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && settings.Own(t) && !t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// sentence is a section's comment, without the key that the heading has.
func sentence(f settings.Field) string {
	text := fieldComment(f)
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(text, f.Key+verb); ok {
			text = rest
		}
	}
	text = strings.TrimPrefix(text, f.Key+" ")
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if words := values(t); words != nil {
		return "one of `" + strings.Join(words, "`, `") + "`"
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "string"
	}
	switch t.Kind() {
	case reflect.Struct:
		return fmt.Sprintf("the Engine API's `%s`", t.Name())
	case reflect.Map:
		return "map of names to " + typeName(t.Elem()) + "s"
	case reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	default:
		return "number"
	}
}
