package docker_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree is what a configuration structure of any of the three packages says, by
// the keys of files and without what is not set. The engine's structures, which
// are those of two generations, are taken as the engine would read them.
func tree(t *testing.T, v any) map[string]any {
	t.Helper()
	result := map[string]any{}
	addFields(t, result, reflect.Indirect(reflect.ValueOf(v)))
	return result
}

func addFields(t *testing.T, result map[string]any, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported():
		case strings.Contains(options, "inline"):
			addFields(t, result, v.Field(i))
		default:
			if value := plain(t, v.Field(i)); !empty(value) {
				result[key] = value
			}
		}
	}
}

func plain(t *testing.T, v reflect.Value) any {
	t.Helper()
	if d, ok := v.Interface().(time.Duration); ok {
		if d == 0 {
			return nil
		}
		return d.String()
	}
	if v.Kind() == reflect.Struct {
		return tree(t, v.Interface())
	}
	// Lists, maps, texts, and pointers to structures of the engine.
	text, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return pruned(value)
}

// named are the sections of the engine whose keys are names, with values that
// may be empty.
var named = []string{"EndpointsConfig", "ExposedPorts", "Volumes"}

// pruned leaves out of sections what is not set.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if names, ok := inner.(map[string]any); ok && slices.Contains(named, key) {
				for name := range names {
					names[name] = pruned(names[name])
				}
			} else {
				v[key] = pruned(inner)
			}
			if empty(v[key]) {
				delete(v, key)
			}
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		for _, entry := range v {
			if !empty(entry) {
				return false
			}
		}
		return true
	}
	return reflect.ValueOf(v).IsZero()
}
