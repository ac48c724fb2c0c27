package settings

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// module is where own structures come from.
const module = "github.com/berth-ssh/berth"

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// Own tells whether a structure is this module's, with keys of its own.
func Own(t reflect.Type) bool {
	return t.PkgPath() == module || strings.HasPrefix(t.PkgPath(), module+"/")
}

// Field is one key of a structure.
type Field struct {
	// Key is the key's name in files.
	Key string
	// Index is the way to the field, through what is inlined or embedded.
	Index []int
	// Owner is the structure that declares the field, and Go its declaration.
	Owner reflect.Type
	Go    reflect.StructField
}

// Fields lists the keys of a structure in the order of declaration, those of
// inlined and embedded structures in their place.
func Fields(t reflect.Type) []Field {
	var list []Field
	for i := range t.NumField() {
		f := t.Field(i)
		key, inlined, ok := keyOf(t, f)
		switch {
		case !ok:
		case inlined:
			for _, inner := range Fields(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				list = append(list, inner)
			}
		default:
			list = append(list, Field{Key: key, Index: []int{i}, Owner: t, Go: f})
		}
	}
	return list
}

// keyOf returns a field's key, or that its own keys stand in its place. It is
// not ok for fields that are in no file.
func keyOf(t reflect.Type, f reflect.StructField) (key string, inlined, ok bool) {
	notation := "json"
	if Own(t) {
		notation = "yaml"
	}
	key, options, _ := strings.Cut(f.Tag.Get(notation), ",")
	if key == "-" || !f.IsExported() {
		return "", false, false
	}
	if key == "" {
		if f.Type.Kind() == reflect.Struct && (f.Anonymous || strings.Contains(options, "inline")) {
			return "", true, true
		}
		key = f.Name
	}
	return key, false, true
}

// lookup finds the field that a key of a file means. For foreign structures
// the value may also be meant for a whole embedded structure: gopkg.in/yaml.v3
// reads and writes those under their type's name.
func lookup(t reflect.Type, fields []Field, key string, strict bool) (Field, bool) {
	for _, f := range fields {
		if f.Key == key {
			return f, true
		}
	}
	own := Own(t)
	if own && strict {
		return Field{}, false
	}
	for _, f := range fields {
		if strings.EqualFold(f.Key, key) || !own && strings.EqualFold(f.Go.Name, key) {
			return f, true
		}
	}
	if own {
		return Field{}, false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.IsExported() && f.Type.Kind() == reflect.Struct && strings.EqualFold(f.Name, key) {
			return Field{Key: f.Name, Index: []int{i}, Owner: t, Go: f}, true
		}
	}
	return Field{}, false
}
