package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/berth-ssh/berth/internal/settings"
)

// Bounds of a document: aliases let a short text stand for a tree that fills
// the memory.
const (
	maxNodes = 200_000
	maxDepth = 64
)

// source is a text with the places of its keys.
type source struct {
	name, text string
	places     map[string]place
}

// place is where a key and its value begin.
type place struct{ key, value mark }

// mark is a place in the text; both count from 1.
type mark struct{ line, column int }

// placeKey is a path as a key of source.places, the same for all ways to write
// the keys of the engine's structures.
func placeKey(p settings.Path) string { return strings.ToLower(strings.Join(p, "\x00")) }

// parse reads a text, YAML or JSON, as a tree.
func parse(name string, text []byte) (*source, any, error) {
	s := &source{name: name, text: string(text), places: map[string]place{}}
	valid := json.Valid(text)
	if valid {
		// YAML allows tabs in fewer places than JSON, where they can't be part
		// of a string.
		text = []byte(strings.ReplaceAll(s.text, "\t", " "))
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return s, nil, s.syntaxError(err)
	}
	reader := &reader{source: s, anchors: map[string]ast.Node{}}
	var tree any
	for i, doc := range slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil }) {
		if i > 0 {
			return s, nil, s.syntaxErrorAt(doc.Body.GetToken(), errors.New("a second document; a configuration is one document"))
		}
		tree = reader.node(doc.Body, nil, 0)
	}
	if len(reader.problems) > 0 {
		return s, nil, reader.problems
	}
	if valid {
		// The places are those of the YAML parser, the values are exactly what
		// JSON says.
		if tree, err = settings.FromJSON(text); err != nil {
			return s, nil, err
		}
	}
	return s, tree, nil
}

func (s *source) syntaxError(err error) Problems {
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		return s.syntaxErrorAt(syntax.GetToken(), errors.New(syntax.GetMessage()))
	}
	return Problems{{File: s.name, Err: err}}
}

func (s *source) syntaxErrorAt(t *token.Token, err error) Problems {
	at := markOf(t)
	return Problems{{File: s.name, Line: at.line, Column: at.column, Err: err, excerpt: s.excerpt(at)}}
}

func markOf(t *token.Token) mark {
	if t == nil || t.Position == nil {
		return mark{}
	}
	return mark{t.Position.Line, t.Position.Column}
}

// reader turns the nodes of a document into a tree.
type reader struct {
	*source
	anchors  map[string]ast.Node
	nodes    int
	problems Problems
}

func (r *reader) fail(n ast.Node, format string, args ...any) any {
	r.problems = append(r.problems, r.syntaxErrorAt(n.GetToken(), fmt.Errorf(format, args...))...)
	return nil
}

func (r *reader) node(n ast.Node, p settings.Path, depth int) any {
	if n == nil {
		return nil
	}
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		if len(r.problems) == 0 {
			r.fail(n, "the document is too large or too deep")
		}
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n, n.Values, p, depth)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, p, depth)
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, entry := range n.Values {
			at := append(slices.Clone(p), "["+strconv.Itoa(i)+"]")
			m := markOf(first(entry))
			r.placed(at, place{m, m})
			list[i] = r.node(entry, at, depth+1)
		}
		return list
	case *ast.AnchorNode:
		value := r.node(n.Value, p, depth+1)
		// Known only now, so that no node can be part of itself.
		r.anchors[n.Name.GetToken().Value] = n.Value
		return value
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, ok := r.anchors[name]
		if !ok {
			return r.fail(n, "the alias *%s has no anchor &%[1]s before it", name)
		}
		return r.node(target, p, depth+1)
	case *ast.TagNode:
		if tag := n.GetToken().Value; tag == "!!str" && n.Value != nil {
			if s, ok := n.Value.(*ast.StringNode); ok {
				return s.Value
			}
			return n.Value.GetToken().Value
		} else if !slices.Contains([]string{"!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"}, tag) {
			return r.fail(n, "the tag %s is not supported", tag)
		}
		return r.node(n.Value, p, depth+1)
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		// As it is written: 0755 and 1.10 may be meant for strings.
		return json.Number(n.GetToken().Value)
	default:
		return r.fail(n, "%s is not supported here", n.Type())
	}
}

func (r *reader) mapping(n ast.Node, entries []*ast.MappingValueNode, p settings.Path, depth int) any {
	result := make(map[string]any, len(entries))
	var merged []ast.Node
	for _, entry := range entries {
		if _, ok := entry.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, entry.Value)
			continue
		}
		key := keyText(entry.Key)
		if _, twice := result[key]; twice {
			r.fail(entry.Key, "the key %q is there twice", key)
			continue
		}
		at := append(slices.Clone(p), key)
		keyMark := markOf(first(entry.Key))
		valueMark := keyMark
		if isScalar(entry.Value) {
			valueMark = markOf(first(entry.Value))
		}
		r.placed(at, place{keyMark, valueMark})
		result[key] = r.node(entry.Value, at, depth+1)
	}
	// A merged key stands where no key of the mapping itself does.
	for len(merged) > 0 {
		node := r.resolved(merged[0])
		merged = merged[1:]
		// A list can be merged that has itself in it.
		if r.nodes++; r.nodes > maxNodes {
			return r.fail(n, "the document is too large")
		}
		if list, ok := node.(*ast.SequenceNode); ok {
			merged = append(slices.Clone(list.Values), merged...)
			continue
		}
		m, ok := r.node(node, p, depth+1).(map[string]any)
		if !ok {
			return r.fail(n, "<< takes a section, or a list of sections")
		}
		for key, value := range m {
			if _, there := result[key]; !there {
				result[key] = value
			}
		}
	}
	return result
}

// resolved follows an alias to what it stands for.
func (r *reader) resolved(n ast.Node) ast.Node {
	if alias, ok := n.(*ast.AliasNode); ok {
		if target, known := r.anchors[alias.Value.GetToken().Value]; known {
			return target
		}
	}
	return n
}

// placed notes the place of a key. What is merged in comes last and does not
// move a key of the mapping itself.
func (r *reader) placed(p settings.Path, at place) {
	if _, there := r.places[placeKey(p)]; !there {
		r.places[placeKey(p)] = at
	}
}

func keyText(n ast.MapKeyNode) string {
	var node ast.Node = n
	if explicit, ok := n.(*ast.MappingKeyNode); ok {
		node = explicit.Value
	}
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value
	}
	if node == nil || node.GetToken() == nil {
		return ""
	}
	return node.GetToken().Value
}

func isScalar(n ast.Node) bool {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	_, ok := n.(ast.ScalarNode)
	if _, null := n.(*ast.NullNode); null {
		return false
	}
	return ok
}

// first is the token where a node begins: that of a mapping is its colon.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return first(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return first(n.Key)
	case nil:
		return nil
	}
	return n.GetToken()
}
