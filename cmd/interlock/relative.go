package main

import (
	"path/filepath"
	"strings"
)

// absolute is what the flag was given, with relative paths seen from where we are. This is for verbs that
// people type: a run's flags stand in files that are read elsewhere than where they were written.
func (s *setting) absolute() []string {
	if !s.typed {
		return s.texts
	}
	var all []string
	for _, text := range s.texts {
		switch s.field.Key {
		case "data", "state_dir":
			text = fromHere(text)
		case "store.url":
			text = placeFromHere(text)
		}
		all = append(all, text)
	}
	return all
}

// fromHere leaves alone what cannot be told: config refuses that.
func fromHere(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// placeFromHere makes a store of the path of a directory, absolute or not: what has no scheme, or only that of
// files. What a URL would read as something else is percent-encoded, unless it looks like a URL with a mistake.
func placeFromHere(text string) string {
	path, isFile := strings.CutPrefix(text, "file:")
	scheme, _, found := strings.Cut(text, ":")
	switch {
	case text == "" || path == "" || strings.HasPrefix(path, "//"), strings.ContainsAny(path, "@\n"), isFile && strings.ContainsAny(path, "?#%"):
		return text
	case found && !isFile && !strings.Contains(scheme, "/"):
		return text
	}
	return "file://" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", " ", "%20").Replace(fromHere(path))
}
