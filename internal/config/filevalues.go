package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// assignNode sets a field from a node of the file.
func (l *loader) assignNode(f Field, node *yaml.Node) {
	where := l.at(node, f.Key)
	l.keep(f, fmt.Sprintf("%s:%d", l.in.FileName, node.Line), func(target any) bool {
		if mounts, is := target.(*[]Mount); is {
			list, ok := l.mountNodes(where, node)
			*mounts = list
			return ok
		}
		return l.setNode(where, node, target, f.verify)
	})
}

// setNode sets what target points to from a scalar or a list of scalars.
func (l *loader) setNode(where string, node *yaml.Node, target any, check func(any) string) bool {
	if list, is := target.(*[]string); is {
		texts, ok := l.list(where, node)
		return ok && l.accept(where, fmt.Sprint(texts), target, setList(list, texts), check)
	}
	if _, is := target.(*bool); !is && node.Tag == "!!bool" {
		l.problem(where, "found "+describe(node)+", which YAML takes for a truth value: put it in quotes if it is meant as text")
		return false
	}
	value, ok := l.scalar(where, node)
	return ok && l.accept(where, value, target, setScalar(target, value), check)
}

// scalar is a node's text as it is written. What YAML takes for a number or a date is text here, too,
// because `user: 999` means just that; nothing (null) is not text.
func (l *loader) scalar(where string, node *yaml.Node) (string, bool) {
	plain := []string{"!!str", "!!int", "!!float", "!!timestamp", "!!bool"}
	if node.Kind != yaml.ScalarNode || !slices.Contains(plain, node.Tag) {
		l.problem(where, "found "+describe(node)+": expected a value on one line")
		return "", false
	}
	return node.Value, true
}

func (l *loader) list(where string, node *yaml.Node) ([]string, bool) {
	if node.Kind != yaml.SequenceNode {
		l.problem(where, "found "+describe(node)+": expected a list, such as [a, b]")
		return nil, false
	}
	texts, sound := make([]string, len(node.Content)), true
	for i, element := range node.Content {
		value, ok := l.scalar(fmt.Sprintf("%s[%d]", where, i), element)
		texts[i], sound = value, sound && ok
	}
	return texts, sound
}

func (l *loader) mountNodes(where string, node *yaml.Node) ([]Mount, bool) {
	if node.Kind != yaml.SequenceNode {
		l.problem(where, "found "+describe(node)+": expected a list of mounts, each with a path")
		return nil, false
	}
	mounts, sound := make([]Mount, len(node.Content)), true
	for i, element := range node.Content {
		m, ok := l.mountNode(fmt.Sprintf("mounts[%d]", i), element)
		mounts[i], sound = m, sound && ok
	}
	return mounts, sound
}

func (l *loader) mountNode(name string, node *yaml.Node) (Mount, bool) {
	m := newMount()
	sound := true
	where := l.at(node, name)
	mapping := l.pairs(node, where, func(key string, value *yaml.Node) {
		part, known := findMountPart(key)
		if !known {
			l.problem(l.at(value, name), unknownKey(key, mountPartNames()))
			sound = false
			return
		}
		sound = l.setNode(l.at(value, name+"."+key), value, part.at(&m), part.check) && sound
	})
	if mapping && sound && m.Path == "" {
		l.problem(where, "path is missing: expected the absolute path of a mount")
		sound = false
	}
	return m, sound && mapping
}
