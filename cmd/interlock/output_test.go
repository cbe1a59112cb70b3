package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
)

// TestFullOutput: what cannot be printed is said to be that, by every verb, and is no fault of what it looked at.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	dir := t.TempDir()
	place := []string{"--store", filepath.Join(dir, "store")}
	if err := os.Mkdir(place[1], 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := try(nil, append([]string{"store", "init"}, place...)...); code != 0 {
		t.Fatal(stderr)
	}
	backup := append([]string{"backup", "--scratch", dir}, place...)
	backup = append(backup, "--", "echo", "x")
	if code, _, stderr := try(nil, backup...); code != 0 {
		t.Fatal(stderr)
	}
	with := func(words ...string) []string { return append(words, place...) }
	lock := "file://" + filepath.Join(dir, "lock")
	for _, words := range [][]string{
		{"--version"}, {"version", "--json"}, {"--help"}, {"help", "exit-codes"}, {"help", "backup"}, {"check-config", "--lock", lock, "--", "true"},
		{"check-config", "--lock", lock, "--json", "--", "true"}, {"lock", "init", "--lock", lock}, {"lock", "show", "--lock", lock},
		with("snapshots"), with("snapshots", "--json"), with("show", "latest"), with("show", "latest", "--files"), with("show", "latest", "--files", "--json"),
		with("diff", "latest", "latest"), with("verify", "--all"), with("verify", "--json"), with("prune"), with("prune", "--json"), with("store", "doctor"), backup,
		with("pin", "latest", "--reason", "x"), append(with("restore", "--to", filepath.Join(dir, "to"), "--dry-run"), "--", "cat"),
	} {
		var errs bytes.Buffer
		code := execute(append([]string{"interlock"}, words...), nil, full, &errs)
		said := errs.String()
		if i := strings.Index(said, "interlock: "); i > 0 { // behind warnings
			said = said[i:]
		}
		if code != exit.Internal || !strings.HasPrefix(said, "interlock: the output is not whole: ") || !strings.Contains(said, "no space left") || strings.Count(said, "\n") != 1 {
			t.Errorf("%q: %d %q", words, code, said)
		}
	}
}
