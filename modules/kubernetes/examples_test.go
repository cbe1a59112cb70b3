package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// binaryVar is testkit.BinaryVar. Importing that would make all of interlock a dependency of this module.
const binaryVar = "INTERLOCK_BIN"

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

// withBinary builds interlock where the runner has not.
func withBinary(m *testing.M) int {
	if os.Getenv(binaryVar) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "interlock-kubernetes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "interlock"), "./cmd/interlock")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cmd/interlock does not build: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binaryVar, filepath.Join(dir, "interlock")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// files are the texts of the folder by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "examples", "kubernetes", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d examples, %v", len(names), err)
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(text)
	}
	return texts
}

// findings are what is wrong with an example, by rule. A file that cannot be read breaks the rule "decode",
// a container that interlock does not understand the rule "command".
func findings(t *testing.T, text, dockerfile string) map[string][]string {
	t.Helper()
	e, err := newExample(text, dockerfile)
	if err != nil {
		return map[string][]string{"decode": {err.Error()}}
	}
	if err := e.ask(os.Getenv(binaryVar), t.TempDir()); err != nil {
		return map[string][]string{"command": {err.Error()}}
	}
	found := map[string][]string{}
	for _, r := range rules() {
		if broken := r.broken(e); len(broken) > 0 {
			found[r.name] = broken
		}
	}
	return found
}

func TestExamples(t *testing.T) {
	texts := files(t)
	for name := range texts {
		base, manifest := strings.CutSuffix(name, ".yaml")
		if _, has := texts[strings.TrimSuffix(name, ".Dockerfile")+".yaml"]; !manifest && !has {
			t.Errorf("%s: no test looks at it", name)
		}
		if !manifest {
			continue
		}
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			for rule, broken := range findings(t, texts[name], texts[base+".Dockerfile"]) {
				t.Errorf("%s: %s", rule, strings.Join(broken, "\n\t"))
			}
		})
	}
}

// TestBroken breaks the examples one by one: each rule can fail, and the right one does.
func TestBroken(t *testing.T) {
	texts := files(t)
	hit := map[string]bool{}
	for i, v := range variants() {
		hit[v.breaks] = true
		t.Run(fmt.Sprintf("%d %s", i, v.breaks), func(t *testing.T) {
			t.Parallel()
			changed := map[string]string{}
			for name, text := range texts {
				changed[name] = text
			}
			if !strings.Contains(changed[v.file], v.old) {
				t.Fatalf("%s does not contain %q", v.file, v.old)
			}
			changed[v.file] = strings.Replace(changed[v.file], v.old, v.new, 1)
			base := strings.TrimSuffix(strings.TrimSuffix(v.file, ".yaml"), ".Dockerfile")
			found := findings(t, changed[base+".yaml"], changed[base+".Dockerfile"])
			if len(found[v.breaks]) == 0 || !strings.Contains(strings.Join(found[v.breaks], "\n"), v.says) {
				t.Errorf("%q for %q: found %v: expected the rule %s to say %q", v.new, v.old, found, v.breaks, v.says)
			}
		})
	}
	for _, r := range slices.Concat(rules(), []rule{{name: "decode"}, {name: "command"}}) {
		if !hit[r.name] {
			t.Errorf("nothing here breaks the rule %s", r.name)
		}
	}
}
