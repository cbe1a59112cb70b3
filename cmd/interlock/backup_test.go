package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
)

// TestOwnDir: what others may write into is no place for dumps.
func TestOwnDir(t *testing.T) {
	dir := t.TempDir()
	ours, open, link := filepath.Join(dir, "a", "ours"), filepath.Join(dir, "open"), filepath.Join(dir, "link")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{ours: true, open: false, link: false} {
		for range 2 {
			if err := ownDir(path); (err == nil) != want {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(ours, 1, 1); err != nil {
			t.Fatal(err)
		}
		if ownDir(ours) == nil {
			t.Error("a directory of another user was taken")
		}
	}
}

// TestLabels: what every catalog repeats is short, one line, and each name once.
func TestLabels(t *testing.T) {
	got, err := labelsOf([]string{"a=1", "b=x=y", "c="})
	if err != nil || len(got) != 3 || got["b"] != "x=y" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range [][]string{{"a"}, {"=1"}, {"a=1", "a=2"}, {"a=\n"}, {"a=" + string(make([]byte, 200))}, make([]string, 17)} {
		if _, err := labelsOf(bad); exit.Code(err) != exit.Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestScrubbed: the variables that open the store are not for its commands.
func TestScrubbed(t *testing.T) {
	d := &depot{environ: []string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "AWS_SESSION_TOKEN=y"}}
	d.cfg.Store.URL = "s3://b/p"
	if got := d.scrubbed(); len(got) != 1 || got[0] != "PATH=/bin" {
		t.Errorf("%q", got)
	}
}
