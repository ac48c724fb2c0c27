// Package settings decodes and encodes configuration structures, so that JSON,
// YAML and Go agree on them.
//
//	text ──> tree (map[string]any, []any, string, bool, json.Number, nil) ──> Decode ──> struct
//	struct ──> MarshalJSON, or Tree for a YAML encoder
//
// Structures of this module ("own") are matched by their yaml tags, with
// ",inline" understood in both notations; unknown keys are refused when Strict.
// All other structures ("foreign", in practice the Engine API's) are matched by
// JSON name or Go field name in any case, and their unknown keys are ignored.
//
// What is wrong comes as *KeyError values, all of them at once, each with the
// path of its key; a caller that knows the text can turn paths into positions.
package settings
