package snapshot

import (
	"strings"
)

// Root is the path of the tree itself.
const Root = "."

// ComparePaths orders paths as a walk meets them that sorts each directory by the bytes of its names: as
// bytes, but with the slash before every other byte. The root comes first.
func ComparePaths(a, b string) int {
	if a == Root || b == Root {
		return rootFirst(a, b)
	}
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			return slashFirst(x, y)
		}
	}
	return len(a) - len(b)
}

func rootFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == Root:
		return -1
	}
	return 1
}

func slashFirst(x, y byte) int {
	switch {
	case x == '/':
		return -1
	case y == '/':
		return 1
	}
	return int(x) - int(y)
}

// CheckPath refuses what could lead out of a tree: absolute paths, empty and dot components, NUL.
func CheckPath(path string) error {
	if path == Root {
		return nil
	}
	if path == "" || len(path) > maxPath || strings.IndexByte(path, 0) >= 0 {
		return damaged("path %.80q of %d bytes: expected 1 to %d, and no NUL", path, len(path), maxPath)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || len(name) > maxName {
			return damaged("path %.80q: component %.40q not allowed", path, name)
		}
	}
	return nil
}

// parentOf is the path of the directory that holds path; the root for a name at the top.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return Root
}
