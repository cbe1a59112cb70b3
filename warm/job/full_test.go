package job

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A disk that is full ends no load, and nothing half-written stays on it; nor what a load left that was killed while
// it wrote.
func TestProgressOnAFullDisk(t *testing.T) {
	testkit.RequireRoot(t)
	folder := t.TempDir()
	must(t, unix.Mount("small", folder, "tmpfs", 0, "size=16k"))
	t.Cleanup(func() { testkit.Unmount(t, folder) })
	p := progressOf(folder, memcached.Server{Network: "tcp", Address: "a:1"})
	far := load.Progress{Parts: map[string]load.Mark{}}
	for i := range 1000 {
		far.Parts[fmt.Sprintf("a-dump-of-some-time/0/%d", i)] = load.Mark{Offset: 7, Items: 3}
	}
	must(t, p.save(load.Progress{Parts: map[string]load.Mark{"x/0/0": {Offset: 7, Items: 3}}}))
	if err := p.save(far); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	wantOnly(t, folder, filepath.Base(p.name))
	if got := p.read(func(text string) { t.Error(text) }); got == nil || got.Parts["x/0/0"].Items != 3 {
		t.Errorf("what was written before: %+v", got)
	}
	must(t, os.WriteFile(p.next(), nil, 0o600))
	_, err := p.keeping(func() load.Progress { return far }, func() (*load.Report, error) { return &load.Report{}, nil })
	must(t, err)
	wantOnly(t, folder)
	must(t, os.WriteFile(p.next(), nil, 0o600))
	kept(t, p, nil)
	wantOnly(t, folder)
	must(t, os.WriteFile(p.next(), nil, 0o600))
	_, err = p.keeping(func() load.Progress { return load.Progress{} }, func() (*load.Report, error) { return &load.Report{}, nil })
	must(t, err)
	wantOnly(t, folder)
}

// wantOnly wants these names in a folder and no others.
func wantOnly(t *testing.T, folder string, names ...string) {
	t.Helper()
	all, err := os.ReadDir(folder)
	must(t, err)
	for _, e := range all {
		if len(names) == 0 || e.Name() != names[0] {
			t.Errorf("%s was left", e.Name())
		}
	}
	if len(all) != len(names) {
		t.Errorf("%d files, want %d", len(all), len(names))
	}
}
