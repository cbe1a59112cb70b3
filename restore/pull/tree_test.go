package pull

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

func TestRestoreIntoEmpty(t *testing.T) {
	s := newScene(t)
	s.database(t)
	snap := s.takes(t)
	s.token = 2
	r := s.restores(t, Settings{}, restore.Run)
	s.same(t)
	st := restore.Inspect(s.data, s.state, 2).State
	if st.Phase != restore.PhaseClean || st.Origin.Snapshot != string(snap.ID) || st.Last.Token != 2 || r.Kept != 0 || r.Files < smalls || r.Notes != "" {
		t.Errorf("%+v, %+v", st, r)
	}
	var sp unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.data, "sparse"), &sp))
	if sp.Blocks*512 > 1<<20 {
		t.Errorf("sparse takes %d bytes", sp.Blocks*512)
	}
	if c := s.choose(t, Settings{}); c.Action != restore.None {
		t.Errorf("chose %+v once it was restored", c)
	}
	if names, err := os.ReadDir(s.state); err != nil || len(names) != 1 {
		t.Errorf("%v %v: expected the state file alone", names, err)
	}
}

// What an operator sees: a little changed means that little is fetched; the rest is kept.
func TestReplaceFetchesOnlyWhatDiffers(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	s.token = 2
	s.restores(t, Settings{}, restore.Run)
	at := func(p string) string { return filepath.Join(s.data, p) }
	rewrite(t, at("ibdata1"), 9, 3)
	must(t, os.WriteFile(at("base/1/stray"), []byte("x"), 0o600))
	must(t, os.MkdirAll(at("base/more/deep"), 0o700))
	must(t, os.WriteFile(at("base/more/deep/er"), noise(1, 99), 0o600))
	must(t, os.Remove(at("base/1/small100")))
	must(t, os.WriteFile(at("base/2/zeros"), noise(8, 4<<20), 0o600)) // longer, and where zeros belong
	must(t, os.Truncate(at("base/2/part"), 1000))
	must(t, writeAt(at("sparse"), 1<<20, 1)) // into a hole before data
	must(t, os.Remove(at("empty")))
	must(t, os.WriteFile(at("empty"), nil, 0o600)) // a file where a directory belongs
	j := s.job(t, Settings{}, restore.None)
	found := s.found(t)
	j.Choice = ChooseAlone(restore.Inspect(s.data, s.state, 2), found, "", true)
	if j.Choice.Action != Replace {
		t.Fatalf("%+v", j.Choice)
	}
	p, err := Look(t.Context(), j)
	must(t, err)
	if p.Remove != 4 || p.Create != 1 || p.Change < 5 || p.Change > 10 || p.Fetch == 0 || p.Fetch > 8<<20 {
		t.Errorf("preview %+v", p)
	}
	r, err := Run(t.Context(), j)
	must(t, err)
	s.same(t)
	if r.Bytes > 8<<20 || r.Kept < 6<<20 { // a file with several names is always written anew: the other may lie anywhere
		t.Errorf("%+v: expected little fetched and much kept", r)
	}
	if p, err = Look(t.Context(), j); err != nil || p.Change+p.Create+p.Remove+p.Fetch != 0 {
		t.Errorf("preview of what is restored: %+v, %v", p, err)
	}
}

func TestCheckFindsDifferences(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	s.restores(t, Settings{}, restore.Run)
	j := Job{Repo: s.repo, Target: s.target()}
	j.Choice.Snapshot = s.found(t).Catalog.Live[0]
	must(t, compared(t.Context(), j))
	for name, change := range map[string]func(at string) error{
		"base/1/small007": func(at string) error { return os.Chmod(at, 0o600) },
		"ibdata1":         func(at string) error { return writeAt(at, 6<<20+76, 1) },
		"base/2/zeros":    func(at string) error { return writeAt(at, 2<<20, 1) },
		"sparse":          func(at string) error { return writeAt(at, 1<<20, 1) },
		"pipe":            os.Remove,
		"base/1/small200": func(at string) error { return os.Truncate(at, 10) },
		"base/2/linked":   func(at string) error { return errors.Join(os.Remove(at), os.WriteFile(at, noise(3, 3<<20), 0o640)) },
		"base/1/small001": func(at string) error { return unix.Removexattr(at, "user.note") },
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(s.data, name)
			info, err := os.Lstat(at)
			must(t, err)
			must(t, change(at))
			if info.Mode().IsRegular() {
				must(t, os.Chtimes(at, info.ModTime(), info.ModTime()))
			}
			err = compared(t.Context(), j)
			if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), name) || exit.Code(err) != exit.Restore {
				t.Errorf("%v: expected it to name %s", err, name)
			}
			must(t, os.RemoveAll(s.data))
			must(t, os.Mkdir(s.data, 0o755))
			s.restores(t, Settings{}, restore.Run)
		})
	}
}

func writeAt(path string, off int64, b byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{b}, off)
	return errors.Join(err, f.Close())
}

// The set of start sentinels gives way to a tree in which such a name is a directory, or is left out.
func TestSentinelsGiveWay(t *testing.T) {
	s := newScene(t)
	must(t, os.MkdirAll(filepath.Join(s.from, "ibdata1/x"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.from, "ibdata1/x/y"), []byte("y"), 0o644))
	s.takes(t)
	j := s.job(t, Settings{}, restore.Run)
	j.Exclude = []string{"dump.rdb", "/global"}
	_, err := Run(t.Context(), j)
	must(t, err)
	s.same(t)
}

// Many entries whose directories and links are not remembered, and few descriptors.
func TestManyDirectoriesAndFewDescriptors(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	rewrite(t, filepath.Join(s.from, "ibdata1"), 4, 20)
	s.takes(t)
	s.token = 3
	j := s.job(t, Settings{}, restore.Run)
	r := &runner{Job: j, src: &source{s.repo, j.Choice.Snapshot, ""}}
	session, err := restore.Open(s.target())
	must(t, err)
	r.session = session
	must(t, r.session.Begin(restore.Origin{Repository: s.repo.ID, Snapshot: string(j.Choice.Snapshot.ID)}, restore.Fresh))
	target, err := fstree.OpenTarget(s.data, fstree.TargetOptions{Ours: true, Sentinels: Sentinels()})
	must(t, err)
	must(t, target.Begin())
	f := &filler{src: r.src, target: target, tally: newProgress(), handles: newHandles(target)}
	f.handles.most, f.later.bytes = 2, laterMost
	must(t, f.fill(t.Context()))
	if !f.later.many || len(f.later.dirs) > 0 {
		t.Error("expected nothing to be remembered")
	}
	must(t, errors.Join(f.finish(t.Context()), target.Finish(), target.Close(), session.Close()))
	s.same(t)
}

// compared compares a tree with a snapshot, entry by entry and hash by hash; the error, ErrDiffers, lists the
// first differences.
func compared(ctx context.Context, j Job) error {
	return coded(withManifest(ctx, j, func(src *source) error {
		return src.verify(ctx, j.Target.Data, j.Exclude, unprivileged())
	}))
}
