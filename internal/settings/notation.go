package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
)

// FromJSON reads JSON text as a tree.
func FromJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the end of the JSON value")
	}
	return tree, nil
}

// UnmarshalJSON is what the UnmarshalJSON methods of structures do.
func UnmarshalJSON(data []byte, into any) error {
	tree, err := FromJSON(data)
	if err != nil {
		return err
	}
	return Decode(tree, into, false)
}

// UnmarshalYAML is what the UnmarshalYAML methods of structures do. It works
// with each YAML package that has this form of the method: goccy/go-yaml and
// both versions of gopkg.in/yaml.
func UnmarshalYAML(unmarshal func(any) error, into any) error {
	var value any
	if err := unmarshal(&value); err != nil {
		return err
	}
	return Decode(tree(value), into, false)
}

// tree turns what YAML packages make of a document into a tree.
func tree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, inner := range v {
			m[k] = tree(inner)
		}
		return m
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, inner := range v {
			m[fmt.Sprint(k)] = tree(inner)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, inner := range v {
			l[i] = tree(inner)
		}
		return l
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	case nil, string, bool:
		return v
	}
	if k := reflect.ValueOf(v).Kind(); reflect.Int <= k && k <= reflect.Uint64 {
		return json.Number(fmt.Sprint(v))
	}
	return fmt.Sprint(v)
}
