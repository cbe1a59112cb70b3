// Package presets_test takes backups of Debian's real database servers by package backup, and restores them.
//
// Promise: each preset and each hook script that is shipped has published what a fresh server came up with,
// equal to the original by its checksums, and nothing where something went wrong. Non-promise: restores by
// this program are tested elsewhere; here the databases' own tools load what the store gives back.
package presets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

const limit = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A rig is a database server with its data, and a repository.
type rig struct {
	testing.TB
	kind   kind
	db     *testkit.Database
	server *testkit.Process
	repo   *snapshot.Repository
	o      backup.Options
	tools  string // folder in front of the PATH
}

func newRig(t testing.TB, k kind) *rig {
	t.Helper()
	testkit.RequireRoot(t)
	st, err := dir.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	repo, err := snapshot.Init(t.Context(), st, snapshot.Scope{}, time.Now)
	must(t, err)
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	r := &rig{TB: t, kind: k, repo: repo, tools: testkit.PublicDir(t),
		o: backup.Options{Repository: repo, Scratch: t.TempDir(), Workers: 2, Log: log}}
	return r
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// serve starts the server on a new data directory, or on one that was restored.
func (r *rig) serve(data string, more ...string) {
	r.Helper()
	r.db = r.kind.make(r, data)
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		r.db.Initialize(r)
		if r.kind.prepare != nil {
			r.kind.prepare(r)
		}
	}
	r.command("chown", "-R", r.db.User+":", data)
	r.command("chmod", "700", data)
	r.server = testkit.Start(r, r.db.AsUser(append(r.db.Server, append(r.kind.flags, more...)...)...)...)
	r.db.WaitReady(r, limit)
}

// source is a preset of this server, run as its user.
func (r *rig) source(preset string, args ...string) backup.Source {
	return backup.Source{Mode: backup.Command, Preset: preset, Exec: args, Run: r.process()}
}

func (r *rig) process(env ...string) backup.Process {
	uid, gid := r.db.IDs(r)
	env = append([]string{"PATH=" + r.tools + ":" + os.Getenv("PATH"), "HOME=/nonexistent", "SERVER=" + fmt.Sprint(r.server.Pid()), "TOOLS=" + r.tools}, env...)
	return backup.Process{Dir: "/", Env: env, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (r *rig) takes(s backup.Source) backup.Result {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	res, err := backup.Take(ctx, s, r.o)
	must(r, err)
	return res
}

// refuses wants an error with a text, and nothing published.
func (r *rig) refuses(what string, s backup.Source, want error, says string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	before, err := r.repo.Catalog(ctx)
	must(r, err)
	_, err = backup.Take(ctx, s, r.o)
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		r.Errorf("%s: error %v, want %v with %q", what, err, want, says)
	} else {
		r.Logf("%s: %v", what, err)
	}
	after, err := r.repo.Catalog(ctx)
	must(r, err)
	if len(after.Live) != len(before.Live) {
		r.Errorf("%s: published", what)
	}
}

// wraps puts a script in the place of a tool; $real is the tool.
func (r *rig) wraps(tool, script string) {
	r.Helper()
	path := filepath.Join(r.tools, tool)
	if script == "" {
		must(r, os.Remove(path))
		return
	}
	real, err := exec.LookPath(tool)
	must(r, err)
	testkit.WriteProgram(r, path, "#!/bin/bash\nreal="+real+"\n"+script+"\n")
}

// command runs one and gives what it writes.
func (r *rig) command(argv ...string) string {
	r.Helper()
	return r.fed(nil, argv...)
}

func (r *rig) fed(in io.Reader, argv ...string) string {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Dir = in, "/"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.Fatalf("%v: %v\n%s", argv, err, errs.String())
	}
	return out.String()
}

// stream puts the stream of a snapshot into a file.
func (r *rig) stream(s snapshot.Snapshot) *os.File {
	r.Helper()
	f, err := os.Create(filepath.Join(r.TempDir(), "stream"))
	must(r, err)
	r.Cleanup(func() { must(r, f.Close()) })
	m, err := r.repo.Manifest(r.Context(), s)
	must(r, err)
	must(r, r.repo.StreamTo(r.Context(), f, 0, m.Wants(), nil))
	must(r, m.Close())
	_, err = f.Seek(0, io.SeekStart)
	must(r, err)
	return f
}

// tree puts the files of a snapshot into a directory, without any metadata but modes of directories.
func (r *rig) tree(s snapshot.Snapshot, to string) {
	r.Helper()
	m, err := r.repo.Manifest(r.Context(), s)
	must(r, err)
	defer func() { must(r, m.Close()) }()
	for {
		e, err := m.NextEntry()
		if errors.Is(err, io.EOF) {
			return
		}
		must(r, err)
		path := filepath.Join(to, e.Path)
		switch e.Kind {
		case snapshot.Dir:
			must(r, os.MkdirAll(path, 0o700))
		case snapshot.Symlink:
			must(r, os.Symlink(e.Target, path))
		case snapshot.File:
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			must(r, err)
			runs := func(yield func(snapshot.Want, error) bool) { m.EntryWants(e)(yield) }
			must(r, errors.Join(r.repo.StreamTo(r.Context(), f, e.File.Size, runs, nil), f.Close()))
		default:
			r.Fatalf("%q is a %s", e.Path, e.Kind)
		}
	}
}

// testPublic is a folder that the servers' users may enter.
func testPublic(t testing.TB) string { t.Helper(); return testkit.PublicDir(t) }

func verifybackup(t testing.TB) string {
	t.Helper()
	return filepath.Join(testkit.PostgreSQLBin(), "pg_verifybackup")
}
