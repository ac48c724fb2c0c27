// Package sourcedoc takes the comments of structures and their fields from Go
// source, so that a reference for users can be made of them.
package sourcedoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// Comments returns the comments of the exported structures with tagged fields
// in the given directories, which hold one package each: for "package.Type" and for
// "package.Type.Field". Paragraphs are one line each, with a blank line between
// them.
func Comments(dirs ...string) (map[string]string, error) {
	comments := map[string]string{}
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := file.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			collect(comments, parsed)
		}
	}
	if len(comments) == 0 {
		return nil, fmt.Errorf("no structures in %s", strings.Join(dirs, ", "))
	}
	return comments, nil
}

func collect(comments map[string]string, file *ast.File) {
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok || !typ.Name.IsExported() {
				continue
			}
			structure, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			doc := typ.Doc
			if doc == nil {
				doc = general.Doc
			}
			name := file.Name.Name + "." + typ.Name.Name
			for _, field := range structure.Fields.List {
				for _, fieldName := range field.Names {
					if fieldName.IsExported() && field.Tag != nil {
						comments[name] = unwrap(doc)
						comments[name+"."+fieldName.Name] = unwrap(field.Doc)
					}
				}
			}
		}
	}
}

// unwrap takes the line breaks out of the paragraphs of a comment.
func unwrap(doc *ast.CommentGroup) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(doc.Text()), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}
