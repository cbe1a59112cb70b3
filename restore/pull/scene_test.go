package pull

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

var theScope = snapshot.Scope{Lock: "db", Kind: "file"}

// A scene is a repository in a directory, a tree that snapshots are taken of, and a data directory.
type scene struct {
	store, from, data, state string
	repo                     *snapshot.Repository
	token                    fence.Token
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return sceneIn(t, t.TempDir())
}

// inMemory is a place where syncs cost nothing, for tests that restore hundreds of times.
func inMemory(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "pull-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(root)) })
	if unix.Setxattr(root, "user.probe", []byte("x"), 0) != nil {
		return t.TempDir()
	}
	return root
}

func sceneIn(t *testing.T, root string) *scene {
	t.Helper()
	s := &scene{store: filepath.Join(root, "store"), from: filepath.Join(root, "from"), data: filepath.Join(root, "here/data"), token: 1}
	s.state = filepath.Join(root, "here/.interlock")
	for _, d := range []string{s.store, s.from, s.data} {
		must(t, os.MkdirAll(d, 0o755))
	}
	st, err := dir.Open(s.store)
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	s.repo, err = snapshot.Init(t.Context(), st, snapshot.Scope{}, time.Now)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) holder() snapshot.Holder {
	if s.token == 0 {
		return snapshot.Holder{}
	}
	return snapshot.Holder{Token: s.token, Scope: theScope}
}

// takes publishes a snapshot of the scene's tree.
func (s *scene) takes(t *testing.T) snapshot.Snapshot {
	t.Helper()
	tree, err := fstree.Open(s.from, fstree.Options{})
	must(t, err)
	defer func() { must(t, tree.Close()) }()
	return s.publish(t, snapshot.About{Mode: "cold"}, snapshot.TreeItems(tree))
}

func (s *scene) publish(t *testing.T, about snapshot.About, items iter.Seq2[snapshot.Item, error]) snapshot.Snapshot {
	t.Helper()
	d, err := s.repo.Begin(t.Context(), s.holder(), snapshot.BeginOptions{About: about})
	must(t, err)
	o := snapshot.WriteOptions{Scratch: t.TempDir()}
	if d.Parent.ID != "" {
		o.Parent, err = s.repo.Manifest(t.Context(), d.Parent)
		must(t, err)
		defer func() { must(t, o.Parent.Close()) }()
	}
	_, err = d.Write(t.Context(), o, items)
	must(t, err)
	snap, err := d.Publish(t.Context())
	must(t, err)
	return snap
}

// stream publishes the bytes of a reader as the output of a command.
func (s *scene) stream(t *testing.T, preset string, r io.Reader) snapshot.Snapshot {
	t.Helper()
	return s.publish(t, snapshot.About{Mode: "command", Preset: preset}, func(yield func(snapshot.Item, error) bool) {
		yield(snapshot.Item{Entry: snapshot.Entry{Path: "dump", Kind: snapshot.Stream, Mode: 0o600, MTime: snapshot.TimeOf(time.Now())}, Stream: r}, nil)
	})
}

func (s *scene) target() restore.Target {
	return restore.Target{Data: s.data, StateDir: s.state, Token: s.token, Holder: "a"}
}

// found is the catalog after a claim.
func (s *scene) found(t *testing.T) Found {
	t.Helper()
	c, err := s.repo.Catalog(t.Context())
	if s.token != 0 {
		c, err = s.repo.Claim(t.Context(), s.holder())
	}
	must(t, err)
	return Found{Repository: s.repo.ID, Catalog: c}
}

func (s *scene) choose(t *testing.T, set Settings) Choice {
	t.Helper()
	return Choose(restore.Inspect(s.data, s.state, s.token), s.found(t), set)
}

func (s *scene) job(t *testing.T, set Settings, want restore.Action) Job {
	t.Helper()
	c := s.choose(t, set)
	if c.Action != want {
		t.Fatalf("chose %s (%s): expected %s", c.Action, c.Reason, want)
	}
	return Job{Repo: s.repo, Target: s.target(), Choice: c, Verify: true}
}

// restores chooses, restores and starts a tenure.
func (s *scene) restores(t *testing.T, set Settings, want restore.Action) Result {
	t.Helper()
	r, err := Run(t.Context(), s.job(t, set, want))
	must(t, err)
	if s.token != 0 {
		must(t, restore.StartTenure(s.target()))
	}
	return r
}

func (s *scene) phase() restore.Phase {
	return restore.Inspect(s.data, s.state, s.token).State.Phase
}

// same compares the data directory with the tree that was stored.
func (s *scene) same(t *testing.T) {
	t.Helper()
	a, err := fstree.Open(s.from, fstree.Options{})
	must(t, err)
	b, err := fstree.Open(s.data, fstree.Options{})
	must(t, err)
	diffs, err := fstree.Equal(a, b, fstree.EqualOptions{AnyOwner: os.Geteuid() != 0})
	must(t, errors.Join(err, a.Close(), b.Close()))
	for _, d := range diffs {
		t.Error(d)
	}
}

// smalls are the small files of a database: enough for frames that many share.
const smalls = 240

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

// database fills the scene's tree with something of everything: what a service has, and what it may have.
func (s *scene) database(t *testing.T) {
	t.Helper()
	at := func(p string) string { return filepath.Join(s.from, p) }
	for _, d := range []string{"global", "base/1", "base/2", "empty", "odd \xff\n"} {
		must(t, os.MkdirAll(at(d), 0o750))
	}
	files := map[string][]byte{
		"global/pg_control": noise(1, 8192), "ibdata1": noise(2, 6<<20+77), "base/1/rows": noise(3, 3<<20),
		"base/2/zeros": make([]byte, 3<<20), "base/2/none": nil, "odd \xff\n/name\xfe": []byte("x"),
		"base/2/part": append(make([]byte, 1<<20), noise(4, 1<<20)...), "dump.rdb": []byte("REDIS"),
	}
	for i := range smalls {
		files[fmt.Sprintf("base/1/small%03d", i)] = noise(uint64(i+10), i*37)
	}
	for p, data := range files {
		must(t, os.WriteFile(at(p), data, 0o640))
	}
	f, err := os.Create(at("sparse"))
	must(t, err)
	_, err = f.WriteAt(noise(5, 300_000), 40<<20)
	must(t, errors.Join(err, f.Truncate(64<<20), f.Close()))
	must(t, os.Link(at("base/1/rows"), at("base/2/linked")))
	must(t, os.Symlink("../base", at("global/sym")))
	must(t, unix.Mkfifo(at("pipe"), 0o600))
	must(t, unix.Setxattr(at("base/1/small001"), "user.note", []byte("kept"), 0))
	must(t, os.Chmod(at("global"), 0o500))
	when := time.Unix(1_700_000_000, 123456789)
	for _, p := range []string{"base/1/rows", "empty", "base/1", "global", "."} {
		must(t, os.Chtimes(at(p), when, when))
	}
}

// rewrite changes n pages of a file in place.
func rewrite(t *testing.T, path string, seed uint64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		_, err := f.WriteAt(noise(r.Uint64(), 16<<10), r.Int64N(info.Size()/(16<<10))*(16<<10))
		must(t, err)
	}
	must(t, f.Close())
}

func newProgress() *snapshot.Progress { return &snapshot.Progress{} }
