package settings

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// MarshalJSON encodes a structure, keys in the order of declaration, without
// those that have their zero value. Durations of own structures are strings.
func MarshalJSON(v any) ([]byte, error) {
	var e encoder
	if err := e.value(reflect.ValueOf(v), true); err != nil {
		return nil, err
	}
	return e.Bytes(), nil
}

// Tree returns what a YAML encoder of any make writes as the structure.
func Tree(v any) (any, error) {
	data, err := MarshalJSON(v)
	if err != nil {
		return nil, err
	}
	tree, err := FromJSON(data)
	if err != nil {
		return nil, err
	}
	return plain(tree), nil
}

// plain replaces json.Number, which encoders take for a string.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case json.Number:
		n, err := whole(v)
		switch {
		case err != nil:
			f, _ := v.Float64()
			return f
		case n.IsInt64():
			return n.Int64()
		default:
			return n.Uint64()
		}
	}
	return v
}

type encoder struct{ bytes.Buffer }

func (e *encoder) value(v reflect.Value, own bool) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			e.WriteString("null")
			return nil
		}
		return e.value(v.Elem(), own)
	case t == durationType && own:
		return e.scalar(FormatDuration(time.Duration(v.Int())))
	case t.Implements(textMarshalerType):
		s, err := keyText(v)
		if err != nil {
			return err
		}
		return e.scalar(s)
	}
	switch t.Kind() {
	case reflect.Struct:
		return e.structure(v)
	case reflect.Map:
		return e.mapping(v, own)
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && v.IsNil() {
			e.WriteString("null")
			return nil
		}
		e.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				e.WriteByte(',')
			}
			if err := e.value(v.Index(i), own); err != nil {
				return err
			}
		}
		e.WriteByte(']')
		return nil
	default:
		return e.scalar(v.Interface())
	}
}

func (e *encoder) structure(v reflect.Value) error {
	own := Own(v.Type())
	e.WriteByte('{')
	first := true
	for _, f := range Fields(v.Type()) {
		value := v.FieldByIndex(f.Index)
		if value.IsZero() {
			continue
		}
		if !first {
			e.WriteByte(',')
		}
		first = false
		if err := e.scalar(f.Key); err != nil {
			return err
		}
		e.WriteByte(':')
		if err := e.value(value, own); err != nil {
			return fmt.Errorf("%s: %w", f.Key, err)
		}
	}
	e.WriteByte('}')
	return nil
}

func (e *encoder) mapping(v reflect.Value, own bool) error {
	if v.IsNil() {
		e.WriteString("null")
		return nil
	}
	type entry struct {
		key   string
		value reflect.Value
	}
	var entries []entry
	for i := v.MapRange(); i.Next(); {
		key, err := keyText(i.Key())
		if err != nil {
			return err
		}
		entries = append(entries, entry{key, i.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	e.WriteByte('{')
	for i, one := range entries {
		if i > 0 {
			e.WriteByte(',')
		}
		if err := e.scalar(one.key); err != nil {
			return err
		}
		e.WriteByte(':')
		if err := e.value(one.value, own); err != nil {
			return fmt.Errorf("%s: %w", one.key, err)
		}
	}
	e.WriteByte('}')
	return nil
}

func (e *encoder) scalar(v any) error {
	enc := json.NewEncoder(&e.Buffer)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	e.Truncate(e.Len() - 1) // Encode ends the line.
	return nil
}

func keyText(v reflect.Value) (string, error) {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	return fmt.Sprint(v.Interface()), nil
}

// FormatDuration writes a duration as people do: 1m, not 1m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
