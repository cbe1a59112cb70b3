package fstree

import (
	"fmt"
	"path"
	"strings"
	"sync"
)

// excludes are patterns, apart by what they are held against.
type excludes struct{ names, paths []string }

func parseExcludes(patterns []string) (excludes, error) {
	var x excludes
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || strings.Trim(p, "/") == "" {
			return x, fmt.Errorf("exclude %q: expected a pattern as of path.Match, such as *.tmp or /logs", p)
		}
		if strings.Contains(p, "/") {
			x.paths = append(x.paths, strings.Trim(p, "/"))
		} else {
			x.names = append(x.names, p)
		}
	}
	return x, nil
}

// match tells whether an entry itself is excluded, not what lies above it.
func (x excludes) match(dir, name string) bool {
	if dir == Root && (name == ".interlock" || name == "lost+found" || name == ".interlock-volume") {
		return true // ours and the filesystem's: they tell of this disk, not of the data
	}
	for _, p := range x.names {
		if ok, _ := path.Match(p, name); ok { //nolint:errcheck // parseExcludes saw it
			return true
		}
	}
	for _, p := range x.paths {
		if ok, _ := path.Match(p, join(dir, name)); ok { //nolint:errcheck // parseExcludes saw it
			return true
		}
	}
	return false
}

// covers tells whether a path or a directory above it is excluded.
func (x excludes) covers(p string) bool {
	for p != Root {
		dir, name := split(p)
		if x.match(dir, name) {
			return true
		}
		p = dir
	}
	return false
}

// A noter gives notes to one function, one at a time.
type noter struct {
	mu sync.Mutex
	f  func(Note)
}

func (n *noter) note(k NoteKind, path, detail string) {
	if n.f == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.f(Note{Kind: k, Path: path, Detail: detail})
}
