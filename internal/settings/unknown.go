package settings

import (
	"reflect"
	"strconv"
)

// Unknown lists the keys of a tree that Decode passes over in silence, if it is
// not strict, when it reads the tree into a structure of type t.
func Unknown(tree any, t reflect.Type) []Path {
	var list []Path
	unknown(&list, nil, tree, t)
	return list
}

func unknown(list *[]Path, p Path, v any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(textUnmarshalerType) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		var fields []Field
		if t.Kind() == reflect.Struct {
			fields = Fields(t)
		}
		for _, key := range sortedKeys(v) {
			inner := p.child(key)
			switch t.Kind() {
			case reflect.Struct:
				if f, ok := lookup(t, fields, key, false); ok {
					unknown(list, inner, v[key], f.Go.Type)
				} else {
					*list = append(*list, inner)
				}
			case reflect.Map:
				unknown(list, inner, v[key], t.Elem())
			}
		}
	case []any:
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			for i := range v {
				unknown(list, p.child("["+strconv.Itoa(i)+"]"), v[i], t.Elem())
			}
		}
	}
}
