package backup

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
)

func TestCold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	r.write("d/b", strings.Repeat("two", 100_000))
	r.write("skip.tmp", "no")
	r.write(".interlock/claim", "never")
	src := r.cold()
	src.Exclude = []string{"*.tmp"}
	first := r.takes(src)
	got := r.content(first.Snapshot)
	if len(got) != 4 || got["a"] != "one" || len(got["d/b"]) != 300_000 {
		t.Errorf("snapshot of %d entries", len(got))
	}
	// The second one builds on the first, from the manifest that was kept.
	age(t, r.data)
	r.takes(src)
	r.o.Progress = &snapshot.Progress{}
	r.write("a", "uno")
	second := r.takes(src)
	if second.Snapshot.Parent == "" || r.o.Progress.Bytes.Load() != 3 {
		t.Errorf("parent %q, %d bytes read, want 3", second.Snapshot.Parent, r.o.Progress.Bytes.Load())
	}
	if second.Snapshot.Bytes != 300_003 || r.content(second.Snapshot)["a"] != "uno" {
		t.Errorf("%d bytes in the second snapshot", second.Snapshot.Bytes)
	}
	r.tidy()
}

// age makes files old enough to be trusted by their times.
func age(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		old := time.Now().Add(-time.Hour)
		return errors.Join(err, os.Chtimes(path, old, old))
	}))
	pass(t, 2100*time.Millisecond)
}

// pass lets time go by that only the kernel's own stamps can show.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if !pause(t.Context(), d) {
		t.Fatal("the test ended")
	}
}

// A kept manifest that is another's, cut off or unreadable costs a look at the store and nothing else.
func TestKeptManifest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	r.takes(r.cold())
	kept, err := filepath.Glob(filepath.Join(r.scratch, scratchName, "*"+keptSuffix))
	must(t, err)
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	good, err := os.ReadFile(kept[0])
	must(t, err)
	for i, data := range [][]byte{nil, good[:len(good)/2], []byte("nonsense"), append(good, 0)} {
		must(t, os.WriteFile(kept[0], data, 0o600))
		r.write("a", fmt.Sprint("round ", i))
		if s := r.takes(r.cold()).Snapshot; s.Parent == "" || r.content(s)["a"] != fmt.Sprint("round ", i) {
			t.Errorf("round %d: parent %q", i, s.Parent)
		}
	}
	must(t, os.Remove(kept[0]))
	must(t, os.Mkdir(kept[0], 0o700))
	r.write("a", "at last")
	r.takes(r.cold())
}

// What moves while a cold copy is made publishes nothing, whenever it does.
func TestColdMoves(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(r *rig) error{
		"changed":  func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "m"), []byte("other"), 0o644) },
		"grew":     func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "m"), make([]byte, 200_000), 0o644) },
		"shrank":   func(r *rig) error { return os.Truncate(filepath.Join(r.data, "m"), 5) },
		"vanished": func(r *rig) error { return os.Remove(filepath.Join(r.data, "m")) },
		"came":     func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "new"), nil, 0o644) },
		"behind":   func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "a"), []byte("behind"), 0o644) },
		"renamed":  func(r *rig) error { return os.Rename(filepath.Join(r.data, "m"), filepath.Join(r.data, "n")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("a", "first")
			r.write("m", strings.Repeat("m", 100_000))
			r.write("z", "last")
			pass(t, stampStep)
			before := r.catalog()
			_, err := r.takesWhile(r.cold(), map[string]func(){"z": func() { must(t, move(r)) }})
			if !errors.Is(err, snapshot.ErrChanged) {
				t.Errorf("error %v, want %v", err, snapshot.ErrChanged)
			}
			if after := r.catalog(); len(after.Live) != len(before.Live) {
				t.Errorf("%d snapshots, want %d", len(after.Live), len(before.Live))
			}
		})
	}
}

// takesWhile is Take with something that happens when the walk comes to a path.
func (r *rig) takesWhile(src Source, at map[string]func()) (Result, error) {
	r.Helper()
	work, err := openScratch(r.scratch, nil)
	must(r, err)
	t := &taking{src: src, o: r.o.filled(), work: work, meddle: func(b *body) {
		items := b.items
		b.items = func(yield func(snapshot.Item, error) bool) {
			for item, err := range items {
				if act := at[item.Entry.Path]; act != nil {
					act()
				}
				if !yield(item, err) {
					return
				}
			}
		}
	}}
	res, err := t.tries(r.Context())
	must(r, work.close())
	r.tidy()
	return res, err
}

func TestEmptyAndShrunkTrees(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuses(r.cold(), ErrEmpty)
	for i := range 9 {
		r.write(fmt.Sprint("f", i), strings.Repeat("x", 1000))
	}
	r.takes(r.cold())
	for i := range 6 {
		must(t, os.Remove(filepath.Join(r.data, fmt.Sprint("f", i))))
	}
	r.refuses(r.cold(), ErrShrunk)
	r.o.Full = true
	r.refuses(r.cold(), ErrShrunk) // builds on nothing, and is compared all the same
	for i := range 6 {
		r.write(fmt.Sprint("f", i), "")
	}
	r.refuses(r.cold(), ErrShrunk) // as many files, fewer bytes
	r.o.AllowShrink = true
	r.takes(r.cold())
}

func TestSourceRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, s := range map[string]Source{
		"no mode":         {Data: r.data},
		"no data":         {Mode: Cold},
		"relative":        {Mode: Cold, Data: "data"},
		"no command":      {Mode: Command},
		"preset":          {Mode: Command, Preset: "oracle"},
		"preset of cold":  {Mode: Cold, Data: r.data, Preset: "redis-rdb"},
		"no freeze":       {Mode: Hook, Data: r.data},
		"freeze of cold":  {Mode: Cold, Data: r.data, Freeze: []string{"true"}},
		"command of hook": {Mode: Hook, Data: r.data, Freeze: []string{"true"}, Exec: []string{"true"}},
	} {
		if _, err := Take(t.Context(), s, r.o); !errors.Is(err, ErrSource) {
			t.Errorf("%s: error %v, want %v", name, err, ErrSource)
		}
	}
}

// Two backups with one scratch directory do not meet.
func TestScratchIsLocked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	work, err := openScratch(r.scratch, nil)
	must(t, err)
	r.refuses(r.cold(), ErrBusy)
	must(t, work.close())
	r.takes(r.cold())
}

// A live copy takes what moves as it is, leaves out what is gone, and says so.
func TestLive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	r.write("big", strings.Repeat("b", 3<<20))
	r.write("gone", "gone")
	r.write("short", strings.Repeat("s", 2<<20))
	r.write("z", "last")
	src := r.cold()
	src.Mode = Live
	res, err := r.takesWhile(src, map[string]func(){
		"a":     func() { must(t, os.Remove(filepath.Join(r.data, "gone"))) },
		"short": func() { must(t, os.Truncate(filepath.Join(r.data, "short"), 1000)) },
	})
	must(t, err)
	got := r.content(res.Snapshot)
	if _, there := got["gone"]; there || got["a"] != "one" || got["z"] != "last" || len(got["big"]) != 3<<20 {
		t.Errorf("snapshot of %d entries", len(got))
	}
	if want := strings.Repeat("s", 1000) + strings.Repeat("\x00", 2<<20-1000); got["short"] != want {
		t.Errorf("the file that shrank has %d bytes", len(got["short"]))
	}
	if res.Torn == 0 || res.LeftOut != 1 || res.Snapshot.About.Labels["left-out"] != "1" || res.Snapshot.About.Mode != "live" {
		t.Errorf("%d torn, %d left out, about %+v", res.Torn, res.LeftOut, res.Snapshot.About)
	}
}

// What changes after it was read, and before the end, shows in the second look: of a stopped service and of
// a frozen one.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Cold, Hook} {
		for name, move := range map[string]func(r *rig) error{
			"written": func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "a"), []byte("ONE"), 0o644) },
			"new":     func(r *rig) error { return os.WriteFile(filepath.Join(r.data, "b"), nil, 0o644) },
			"mode":    func(r *rig) error { return os.Chmod(filepath.Join(r.data, "a"), 0o600) },
			"nothing": func(*rig) error { return nil },
		} {
			r := newRig(t)
			r.write("a", "one")
			src := r.cold()
			if mode == Hook {
				src, _ = r.hooked(Hook, "echo ready; "+waits)
			}
			work, err := openScratch(r.scratch, nil)
			must(t, err)
			tk := &taking{src: src, o: r.o.filled(), work: work, meddle: func(b *body) {
				late := b.late
				b.late = func() (iter.Seq2[snapshot.Item, error], error) {
					must(t, move(r))
					return late()
				}
			}}
			_, err = tk.tries(t.Context())
			must(t, work.close())
			if wrong := errors.Is(err, snapshot.ErrChanged) == (name == "nothing"); wrong || name == "nothing" && err != nil {
				t.Errorf("%s, %s: error %v", mode, name, err)
			}
			if n := len(r.catalog().Live); (n == 1) != (name == "nothing") {
				t.Errorf("%s, %s: %d live", mode, name, n)
			}
		}
	}
}

// Fewer files are as suspicious as fewer bytes.
func TestFewerFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("big", strings.Repeat("x", 100_000))
	for i := range 9 {
		r.write(fmt.Sprint("f", i), "")
	}
	r.takes(r.cold())
	for i := range 8 {
		must(t, os.Remove(filepath.Join(r.data, fmt.Sprint("f", i))))
	}
	r.refuses(r.cold(), ErrShrunk)
}

// What a file lacks by now is zeros, whatever was in the buffer.
func TestMissingBytesAreZeros(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("f", "0123456789")
	tk := &taking{src: r.cold(), o: r.o.filled(), work: &scratch{dir: r.scratch}}
	c, err := tk.copied(tolerance{})
	must(t, err)
	for e, err := range c.tree.Walk() {
		must(t, err)
		if e.Path != "f" {
			continue
		}
		must(t, os.Truncate(filepath.Join(r.data, "f"), 4))
		f, err := c.open(e)
		must(t, err)
		got := []byte("dirty dirty")
		if n, err := f.ReadAt(got, 0); n != 10 || err != io.EOF || string(got[:10]) != "0123\x00\x00\x00\x00\x00\x00" {
			t.Errorf("%d bytes %q, %v", n, got, err)
		}
		must(t, f.Close())
	}
	must(t, c.tree.Close())
}
