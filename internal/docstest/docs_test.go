package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func root() fs.FS { return os.DirFS(filepath.Join("..", "..")) }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(root(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const readmeLimit = 120

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > readmeLimit {
		t.Errorf("README.md has %d lines: expected at most %d", n, readmeLimit)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	names, err := fs.Glob(root(), "docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("docs: %d documents, %v", len(names), err)
	}
	for _, name := range append(names, "README.md", "CHANGELOG.md", "CONTRIBUTING.md") {
		for _, to := range deadLinks(root(), name, read(t, name)) {
			t.Errorf("%s: the link to %s leads nowhere", name, to)
		}
	}
}

func TestReadmeNamesEveryDocument(t *testing.T) {
	names, err := fs.Glob(root(), "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(read(t, "README.md"), "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}

func TestTraceIsWhole(t *testing.T) {
	trace := read(t, "docs/protocol-trace.md")
	for _, r := range untraced(read(t, "docs/protocol.md"), trace) {
		t.Errorf("docs/protocol-trace.md: rule %s has no row", r)
	}
	for _, s := range unknownNames(root(), trace) {
		t.Errorf("docs/protocol-trace.md: %s does not exist", s)
	}
}

// Metrics and findings are interfaces: the manual names each that the code has.
func TestManualNamesWhatTheCodeHas(t *testing.T) {
	metric := func(s string) bool { return strings.HasPrefix(s, "interlock_") }
	finding := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' })
	}
	for _, c := range []struct {
		source, doc string
		is          func(string) bool
	}{{"cmd/interlock/picture.go", "docs/operating.md", metric}, {"mountcheck/kind.go", "docs/mounts.md", finding}} {
		_, names, err := namesIn(root(), c.source)
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(s string) bool { return !c.is(s) })
		if len(names) < 10 {
			t.Errorf("%s: found only %q", c.source, names)
		}
		doc := read(t, c.doc)
		for _, name := range names {
			if !strings.Contains(doc, "`"+name+"`") && !strings.Contains(doc, "`"+name+"{") {
				t.Errorf("%s: `%s` of %s is not there", c.doc, name, c.source)
			}
		}
	}
}

// TestChecks breaks each thing once, beside what is right.
func TestChecks(t *testing.T) {
	tree := fstest.MapFS{
		"docs/a.md":   {Data: []byte("a")},
		"x/y_test.go": {Data: []byte("package y\nfunc TestOne() { run(\"Sub\") }\n")},
	}
	same := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	same("links", deadLinks(tree, "README.md", "[a](docs/a.md) [b](docs/a.md#x) [c](docs/c.md) [d](https://x/y) `[e](f)`"), "docs/c.md")
	same("links from docs", deadLinks(tree, "docs/b.md", "[a](a.md) [b](../README.md)"), "../README.md")
	same("rules", untraced("W1 T2 and E3\n## 2. Clocks\n## 6. Verbs\n", "\n| W1 first |\n| 2 clocks |\nE3"), "6", "E3", "T2")
	same("names", unknownNames(tree, "`x/y_test.go: TestOne` `x/y_test.go: Sub` `x/y_test.go` `v` `x/y_test.go: TestTwo` `x/z.go`"),
		"`x/y_test.go: TestTwo`", "`x/z.go`")
}
