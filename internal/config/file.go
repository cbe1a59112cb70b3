package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile takes the YAML file: one document, a mapping, keys that the table knows, each once. It walks
// the nodes itself instead of decoding into a struct, so that each message can name its line and key and
// one mistake does not hide the next.
func (l *loader) readFile() {
	if len(bytes.TrimSpace(l.in.File)) == 0 {
		return
	}
	root, err := oneDocument(l.in.File)
	if err != nil {
		l.problem(l.in.FileName, err.Error())
		return
	}
	if root != nil {
		l.section(root, "")
	}
}

// oneDocument is the top node of the only document; nil where there are only comments.
func oneDocument(file []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(file))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if err := dec.Decode(&second); err == nil {
		return nil, fmt.Errorf("line %d begins a second document: expected one", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if len(doc.Content) != 1 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// section walks one mapping; prefix is its key with a dot, or nothing at the top. One with nothing in it
// means nothing.
func (l *loader) section(node *yaml.Node, prefix string) {
	where := l.at(node, strings.TrimSuffix(prefix, "."))
	if isNull(node) {
		return
	}
	l.pairs(node, where, func(key string, value *yaml.Node) {
		path := prefix + key
		if i := slices.IndexFunc(l.fields, func(f Field) bool { return f.Key == path }); i >= 0 {
			l.assignNode(l.fields[i], value)
		} else if names := l.names(path + "."); len(names) > 0 {
			l.section(value, path+".")
		} else {
			l.problem(l.at(value, strings.TrimSuffix(prefix, ".")), unknownKey(key, l.names(prefix)))
		}
	})
}

// names are the keys that may stand under a prefix.
func (l *loader) names(prefix string) []string {
	var names []string
	for _, f := range l.fields {
		if rest, under := strings.CutPrefix(f.Key, prefix); under {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// pairs calls each for every key of a mapping; each key must be plain text, and there once.
func (l *loader) pairs(node *yaml.Node, where string, each func(key string, value *yaml.Node)) bool {
	if node.Kind != yaml.MappingNode {
		l.problem(where, "found "+describe(node)+": expected keys with values")
		return false
	}
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			l.problem(l.at(key, ""), "found "+describe(key)+": expected a key")
			continue
		}
		if line := first[key.Value]; line > 0 {
			l.problem(l.at(key, key.Value), fmt.Sprintf("this key stands in line %d already: expected once", line))
			continue
		}
		first[key.Value] = key.Line
		each(key.Value, node.Content[i+1])
	}
	return true
}

// at says where a node stands.
func (l *loader) at(node *yaml.Node, key string) string {
	return strings.TrimSuffix(fmt.Sprintf("%s:%d %s", l.in.FileName, node.Line, key), " ")
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// describe names a node's form for messages.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.AliasNode:
		return "an alias (*" + node.Value + "), which this file must not use"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(node):
		return "nothing"
	case node.Tag == "!!merge":
		return "a merge key (<<), which this file must not use"
	}
	return fmt.Sprintf("%q", shorten(node.Value))
}
