package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/berth-ssh/berth/internal/settings"
)

//go:generate go run ./internal/docgen comments comments.json
//go:generate go run ./internal/docgen reference ../docs/configuration.md

//go:embed comments.json
var commentsText []byte

var comments = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	// A test compares the text with the source. An empty one, as it is before
	// the first generation, is a reference without words.
	_ = json.Unmarshal(commentsText, &m)
	return m
})

// fieldComment is what users read about a key. A comment that begins with the
// name of the Go field begins with the key for them.
func fieldComment(f settings.Field) string {
	text := comments()[f.Owner.String()+"."+f.Go.Name]
	if rest, ok := strings.CutPrefix(text, f.Go.Name+" "); ok {
		return f.Key + " " + rest
	}
	return text
}

// values are the words that a key of this type can have; nil if it is free.
func values(t reflect.Type) []string {
	if one, ok := reflect.Zero(t).Interface().(interface{ Values() []string }); ok {
		return one.Values()
	}
	return nil
}
