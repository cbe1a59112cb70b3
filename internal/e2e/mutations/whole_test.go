package mutations

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

var update = flag.Bool("update", false, "write the table of mutations into "+document)

// hook is where a rule can be broken.
var hook = regexp.MustCompile(`mutate\.Broken\("([^"]*)"\)`)

// hooked are the mutations that the product has.
func hooked(t *testing.T) []string {
	t.Helper()
	root, err := testkit.ModuleRoot()
	must(t, err)
	var names []string
	for _, dir := range []string{"cmd", "fence", "internal", "lock", "mountcheck", "restore", "supervise"} {
		must(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range hook.FindAllSubmatch(text, -1) {
				names = append(names, string(m[1]))
			}
			return err
		}))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestEveryMutationHasAScenario goes both ways.
func TestEveryMutationHasAScenario(t *testing.T) {
	var played []string
	for _, s := range scenarios() {
		played = append(played, strings.Split(s.breaks, ",")...)
	}
	slices.Sort(played)
	if have, want := slices.Compact(played), hooked(t); !slices.Equal(have, want) {
		t.Errorf("scenarios for %v, mutations in the product are %v", have, want)
	}
}

// TestReleaseBinaryHasNoMutation looks for the words themselves.
func TestReleaseBinaryHasNoMutation(t *testing.T) {
	release, err := os.ReadFile(testkit.Binary(t))
	must(t, err)
	broken, err := os.ReadFile(testkit.MutateBinary(t))
	must(t, err)
	for _, word := range append(hooked(t), variable, clockVariable) {
		if bytes.Contains(release, []byte(word)) {
			t.Errorf("the release binary has the word %s", word)
		}
		if !bytes.Contains(broken, []byte(word)) {
			t.Errorf("the binary built with -tags mutate lacks the word %s", word)
		}
	}
}

const (
	document = "docs/protocol-trace.md"
	opening  = "<!-- mutations: made by go test ./internal/e2e/mutations -update -->\n"
	closing  = "<!-- end of mutations -->\n"
)

// table is the document's.
func table() string {
	var b strings.Builder
	b.WriteString("\n| Rule | Mutation | Service | Scenario | What the judge finds | Not shown by itself |\n|---|---|---|---|---|---|\n")
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", s.rule, spans(strings.Split(s.breaks, ",")), s.on, s.story, s.shows, spans(s.redundant))
	}
	return b.String() + "\n"
}

func spans(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, "`"+n+"`")
	}
	return strings.Join(all, " and ")
}

// TestDocument: the manual lists what is tested.
func TestDocument(t *testing.T) {
	root, err := testkit.ModuleRoot()
	must(t, err)
	path := filepath.Join(root, document)
	text, err := os.ReadFile(path)
	must(t, err)
	before, rest, ok1 := strings.Cut(string(text), opening)
	was, after, ok2 := strings.Cut(rest, closing)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table of mutations: %q and %q", document, opening, closing)
	}
	if was == table() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the mutations as they are tested: run go test ./internal/e2e/mutations -run TestDocument -update", document)
	}
	must(t, os.WriteFile(path, []byte(before+opening+table()+closing+after), 0o644))
}
