package measured

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.String("update", "", "a file with the output of tests whose rows are taken into the table; - for none")

// The document shows the table.
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "mounts.md")
	table, err := parse(rows)
	must(t, err)
	raw, err := os.ReadFile(path)
	must(t, err)
	if *update != "" {
		table = updated(t, table)
	}
	want, err := intoDocument(string(raw), table)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if *update != "" {
		must(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	if want != string(raw) {
		t.Errorf("%s does not show rows.jsonl: go test ./internal/measured -update -", path)
	}
}

func updated(t *testing.T, table []Row) []Row {
	t.Helper()
	if *update != "-" {
		output, err := os.ReadFile(*update)
		must(t, err)
		table, err = merge(table, string(output))
		must(t, err)
	}
	text, err := lines(table)
	must(t, err)
	must(t, os.WriteFile("rows.jsonl", []byte(text), 0o644))
	return table
}

func TestMerge(t *testing.T) {
	table := []Row{{Filesystem: "a", Fault: "x", Finding: "hung|erroring", Found: 1}, {Filesystem: "b", Fault: "x"}}
	got, err := merge(table, `noise
    a_test.go:1: measured: {"filesystem":"a","fault":"x","finding":"hung","found":2,"policy":"","freed":"","dead":0,"code":0,"end":""}
measured: {"filesystem":"a","fault":"y","finding":"full","found":0,"policy":"","freed":"","dead":0,"code":0,"end":""}
`)
	must(t, err)
	if len(got) != 3 || got[0].Finding != "hung|erroring" || got[0].Found != 2 || got[1].Fault != "y" || got[2].Filesystem != "b" {
		t.Errorf("got %+v", got)
	}
	if _, err := merge(table, "measured: {\"nothing\":1}\n"); err == nil {
		t.Error("an unknown field was taken")
	}
}

func TestDiffers(t *testing.T) {
	table := []Row{{Filesystem: "a", Fault: "x", Finding: "hung|erroring", Policy: "kill", Code: 74, End: "drained"}}
	good := Row{Filesystem: "a", Fault: "x", Finding: "erroring", Found: 9, Policy: "kill", Dead: 3, Code: 74, End: "drained"}
	if wrong := good.differs(table); wrong != "" {
		t.Error(wrong)
	}
	for name, change := range map[string]func(*Row){
		"no such row": func(r *Row) { r.Fault = "y" }, "finding": func(r *Row) { r.Finding = "stale" }, "policy": func(r *Row) { r.Policy = "alert" },
		"freed": func(r *Row) { r.Freed = "heal" }, "exit code": func(r *Row) { r.Code = 0 }, "record": func(r *Row) { r.End = "dead" },
	} {
		r := good
		change(&r)
		if wrong := r.differs(table); !strings.Contains(wrong, name) {
			t.Errorf("%s: got %q", name, wrong)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
