package settings

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode reads a tree into the structure that into points to. What the tree
// does not name stays as it is. With strict, unknown keys of own structures are
// errors. The error is an Errors; what could be read has been.
func Decode(tree any, into any, strict bool) error {
	d := decoder{strict: strict}
	d.value(nil, tree, reflect.ValueOf(into).Elem(), true)
	return d.errs.Err()
}

type decoder struct {
	strict bool
	errs   Errors
}

func (d *decoder) fail(p Path, format string, args ...any) {
	d.errs = append(d.errs, &KeyError{Path: p, Err: fmt.Errorf(format, args...)})
}

// value reads v into to. own tells whether the field that is read belongs to a
// structure of our own: those take no value of a type other than theirs.
func (d *decoder) value(p Path, v any, to reflect.Value, own bool) {
	if v == nil {
		return
	}
	t := to.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		inner := reflect.New(t.Elem())
		if !to.IsNil() {
			inner.Elem().Set(to.Elem())
		}
		d.value(p, v, inner.Elem(), own)
		to.Set(inner)
		return
	case t == durationType:
		d.duration(p, v, to)
		return
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		s, ok := text(v, own)
		if !ok {
			d.wrongType(p, v, "a string")
			return
		}
		if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			d.fail(p, "%w", err)
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		d.structure(p, v, to)
	case reflect.Map:
		d.mapping(p, v, to, own)
	case reflect.Slice, reflect.Array:
		d.list(p, v, to, own)
	case reflect.String:
		s, ok := text(v, own)
		if !ok {
			d.wrongType(p, v, "a string")
			return
		}
		to.SetString(s)
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			d.wrongType(p, v, "true or false")
			return
		}
		to.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := whole(v)
		switch {
		case err != nil:
			d.wrongType(p, v, "a whole number")
		case !n.IsInt64() || to.OverflowInt(n.Int64()):
			d.fail(p, "%s is too large", n)
		default:
			to.SetInt(n.Int64())
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := whole(v)
		switch {
		case err != nil:
			d.wrongType(p, v, "a whole number")
		case n.Sign() < 0:
			d.fail(p, "%s is negative", n)
		case !n.IsUint64() || to.OverflowUint(n.Uint64()):
			d.fail(p, "%s is too large", n)
		default:
			to.SetUint(n.Uint64())
		}
	default:
		d.fail(p, "can't be set in a file (%s)", t)
	}
}

func (d *decoder) structure(p Path, v any, to reflect.Value) {
	m, ok := v.(map[string]any)
	if !ok {
		d.wrongType(p, v, "a section with keys")
		return
	}
	t := to.Type()
	fields := Fields(t)
	own := Own(t)
	// An exact key is read last, so that it wins over another way to write it.
	keys := sortedKeys(m)
	slices.SortStableFunc(keys, func(a, b string) int { return exactness(fields, a) - exactness(fields, b) })
	for _, key := range keys {
		f, found := lookup(t, fields, key, d.strict)
		if !found {
			if own && d.strict {
				d.errs = append(d.errs, &KeyError{Path: p.child(key), Err: unknownKey(key, fields), Unknown: true})
			}
			continue
		}
		d.value(p.child(key), m[key], to.FieldByIndex(f.Index), own)
	}
}

func exactness(fields []Field, key string) int {
	if slices.ContainsFunc(fields, func(f Field) bool { return f.Key == key }) {
		return 1
	}
	return 0
}

// unknownKey says what somebody may have meant: a key that is written nearly
// like this one, or one of that name a level below.
func unknownKey(key string, fields []Field) error {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Key
	}
	if near := Nearest(key, names); near != "" {
		return fmt.Errorf("unknown key %q; did you mean %q?", key, near)
	}
	for _, f := range fields {
		t := f.Go.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(textUnmarshalerType) {
			continue
		}
		if inner, ok := lookup(t, Fields(t), key, false); ok {
			name := inner.Key
			if !Own(t) {
				name = strings.ToLower(inner.Go.Name)
			}
			return fmt.Errorf("unknown key %q; did you mean %q in %q?", key, name, f.Key)
		}
	}
	return fmt.Errorf("unknown key %q; known here: %s", key, strings.Join(names, ", "))
}

func (d *decoder) mapping(p Path, v any, to reflect.Value, own bool) {
	m, ok := v.(map[string]any)
	if !ok {
		d.wrongType(p, v, "a section with keys")
		return
	}
	t := to.Type()
	result := reflect.MakeMapWithSize(t, len(m))
	for _, key := range sortedKeys(m) {
		at := p.child(key)
		k := reflect.New(t.Key()).Elem()
		d.value(at, key, k, own)
		value := reflect.New(t.Elem()).Elem()
		d.value(at, m[key], value, own)
		result.SetMapIndex(k, value)
	}
	to.Set(result)
}

func (d *decoder) list(p Path, v any, to reflect.Value, own bool) {
	l, ok := v.([]any)
	if !ok {
		// The Engine API takes a single string for Cmd and Entrypoint.
		s, isText := v.(string)
		if own || !isText || to.Type().Elem().Kind() != reflect.String {
			d.wrongType(p, v, "a list")
			return
		}
		l = []any{s}
	}
	if to.Kind() == reflect.Array {
		if len(l) > to.Len() {
			d.fail(p, "has %d entries; at most %d fit", len(l), to.Len())
			return
		}
		to.SetZero()
	} else {
		to.Set(reflect.MakeSlice(to.Type(), len(l), len(l)))
	}
	for i, entry := range l {
		d.value(p.child("["+strconv.Itoa(i)+"]"), entry, to.Index(i), own)
	}
}

func (d *decoder) duration(p Path, v any, to reflect.Value) {
	if s, ok := v.(string); ok {
		parsed, err := time.ParseDuration(s)
		if err != nil {
			d.fail(p, `%q is not a duration; write a number with a unit, such as "90s", "5m" or "1h30m"`, s)
			return
		}
		to.SetInt(int64(parsed))
		return
	}
	n, err := whole(v)
	switch {
	case err != nil:
		d.wrongType(p, v, `a duration such as "90s", or a whole number of nanoseconds`)
	case !n.IsInt64():
		d.fail(p, "%s nanoseconds are too many", n)
	default:
		to.SetInt(n.Int64())
	}
}

// text returns what a scalar means where a string is wanted. Numbers are taken
// as they are written. So is true or false in foreign structures, where existing
// files have them (in labels).
func text(v any, own bool) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), !own
	}
	return "", false
}

var errNotWhole = errors.New("not a whole number")

// whole reads a whole number, also one with a base prefix or underscores, and
// one with an exponent.
func whole(v any) (*big.Int, error) {
	number, ok := v.(json.Number)
	if !ok {
		return nil, errNotWhole
	}
	s := number.String()
	if n, ok := new(big.Int).SetString(s, 0); ok {
		return n, nil
	}
	// An exponent beyond this would take memory without bound.
	if _, exponent, found := strings.Cut(strings.ToLower(s), "e"); found && len(strings.TrimLeft(exponent, "+-0")) > 2 {
		return nil, errNotWhole
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() {
		return nil, errNotWhole
	}
	return new(big.Int).Set(r.Num()), nil
}

func (d *decoder) wrongType(p Path, v any, want string) {
	got := "a section with keys"
	switch v := v.(type) {
	case string:
		got = strconv.Quote(v)
		if len(v) > 40 {
			got = "a string"
		}
	case json.Number:
		got = "the number " + v.String()
	case bool:
		got = strconv.FormatBool(v)
		if want == "a string" {
			want = "a string (put it in quotes if it is one)"
		}
	case []any:
		got = "a list"
	}
	if _, scalar := v.(string); scalar && want == "a list" {
		want = "a list, such as [" + got + "],"
	}
	d.fail(p, "must be %s, not %s", strings.TrimSuffix(want, ","), got)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
