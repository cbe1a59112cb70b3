package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A rig is a repository in a directory, and a source to take snapshots of.
type rig struct {
	testing.TB
	repo    *snapshot.Repository
	data    string
	scratch string
	o       Options
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t, repo: newRepository(t, t.TempDir()), data: t.TempDir(), scratch: t.TempDir()}
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	r.o = Options{Repository: r.repo, Scratch: r.scratch, Workers: 2, Log: log}
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

func newRepository(t testing.TB, at string) *snapshot.Repository {
	t.Helper()
	st, err := dir.Open(at)
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	r, err := snapshot.Init(t.Context(), st, snapshot.Scope{}, time.Now)
	must(t, err)
	return r
}

func (r *rig) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.data, name)
	must(r, os.MkdirAll(filepath.Dir(path), 0o755))
	must(r, os.WriteFile(path, []byte(text), 0o644))
}

// cold is the source of a stopped service.
func (r *rig) cold() Source { return Source{Mode: Cold, Data: r.data} }

func (r *rig) command(argv ...string) Source {
	return Source{Mode: Command, Exec: argv, Run: Process{Env: os.Environ()}}
}

func (r *rig) shell(script string) Source { return r.command("sh", "-c", script) }

// takes wants a backup to succeed.
func (r *rig) takes(s Source) Result {
	r.Helper()
	res, err := Take(r.Context(), s, r.o)
	must(r, err)
	return res
}

// refuses wants a backup to fail with an error and to publish nothing.
func (r *rig) refuses(s Source, want error) error {
	r.Helper()
	return r.refusesIn(r.Context(), s, want)
}

func (r *rig) refusesIn(ctx context.Context, s Source, want error) error {
	r.Helper()
	before := r.catalog()
	_, err := Take(ctx, s, r.o)
	if !errors.Is(err, want) {
		r.Errorf("error %v, want %v", err, want)
	}
	if after := r.catalog(); len(after.Live) != len(before.Live) {
		r.Errorf("%d snapshots, want %d", len(after.Live), len(before.Live))
	}
	r.tidy()
	return err
}

// tidy wants nothing but kept manifests in the scratch directory.
func (r *rig) tidy() {
	r.Helper()
	found, err := os.ReadDir(filepath.Join(r.scratch, scratchName))
	must(r, err)
	for _, e := range found {
		if filepath.Ext(e.Name()) != keptSuffix && filepath.Ext(e.Name()) != begunSuffix {
			r.Errorf("left in the scratch directory: %s", e.Name())
		}
	}
}

func (r *rig) catalog() snapshot.Catalog {
	r.Helper()
	c, err := r.repo.Catalog(context.Background())
	must(r, err)
	return c
}

// content reads all files of a snapshot, or its stream.
func (r *rig) content(s snapshot.Snapshot) map[string]string {
	r.Helper()
	m, err := r.repo.Manifest(r.Context(), s)
	must(r, err)
	defer func() { must(r, m.Close()) }()
	all := map[string]string{}
	for {
		e, err := m.NextEntry()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(r, err)
		var out bytes.Buffer
		if e.Kind == snapshot.File || e.Kind == snapshot.Stream {
			runs := func(yield func(snapshot.Want, error) bool) { m.EntryWants(e)(yield) }
			must(r, r.repo.StreamTo(r.Context(), &out, e.File.Size, runs, nil))
		}
		all[e.Path] = out.String()
	}
}
