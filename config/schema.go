package config

import (
	"encoding"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/berth-ssh/berth/internal/settings"
)

// Schema returns the JSON schema (draft 2020-12) of configuration files, for
// editors and for checks elsewhere. In the engine's own structures it knows the
// keys as the Engine API's JSON has them, and allows others.
func Schema() *jsonschema.Schema {
	s := schemaOf(reflect.TypeFor[Config](), true, nil)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Berth configuration"
	s.Description = comments()["config.Config"]
	return s
}

// schemaOf describes a type. own tells whether the key belongs to a structure
// of our own, within lists the structures that it is part of.
func schemaOf(t reflect.Type, own bool, within []reflect.Type) *jsonschema.Schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), own, within)
	case t == reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Types: []string{"string", "integer"}}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return structSchema(t, within)
	case reflect.Map:
		return &jsonschema.Schema{Type: "object", AdditionalProperties: schemaOf(t.Elem(), own, within)}
	case reflect.Slice, reflect.Array:
		s := &jsonschema.Schema{Type: "array", Items: schemaOf(t.Elem(), own, within)}
		if !own && t.Elem().Kind() == reflect.String {
			s.Type, s.Types = "", []string{"array", "string"}
		}
		return s
	case reflect.String:
		s := &jsonschema.Schema{Type: "string"}
		if own {
			for _, word := range values(t) {
				s.Enum = append(s.Enum, word)
			}
		} else {
			s.Type, s.Types = "", []string{"string", "number", "boolean"}
		}
		return s
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}
	default:
		return &jsonschema.Schema{Type: "integer"}
	}
}

func structSchema(t reflect.Type, within []reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object"}
	own := settings.Own(t)
	for _, outer := range within {
		if outer == t {
			return s
		}
	}
	within = append(within[:len(within):len(within)], t)
	s.Properties = map[string]*jsonschema.Schema{}
	for _, f := range settings.Fields(t) {
		property := schemaOf(f.Go.Type, own, within)
		property.Description = fieldComment(f)
		s.Properties[f.Key] = property
		s.PropertyOrder = append(s.PropertyOrder, f.Key)
	}
	if own {
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	}
	return s
}
