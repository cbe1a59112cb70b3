package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

// written begins and writes a full snapshot, for tests of what happens before it is published.
func written(t *testing.T, r *Repository, who Holder, files []*testFile) *Draft {
	t.Helper()
	d, err := r.Begin(t.Context(), who, BeginOptions{Full: true})
	if err == nil {
		_, err = d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files))
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTooOldToPublish(t *testing.T) {
	r := testRepo(t, newMemStore())
	r.windows = windows{publish: 3, dead: 6}
	files := []*testFile{newFile("a", []byte("x"))}
	first := takes(t, r, etcd(5), files)
	d := written(t, r, etcd(5), files)
	for i := range 3 {
		if _, err := r.Pin(t.Context(), etcd(5), first.ID, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Publish(t.Context()); !errors.Is(err, ErrOutdated) {
		t.Errorf("got %v, want %v", err, ErrOutdated)
	}
}

// Misuse that would publish something else than what was written is refused before anything is stored.
func TestMisuse(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	files := []*testFile{newFile("a", []byte("x"))}
	first, second := takes(t, r, etcd(5), files), takes(t, r, etcd(5), files)
	d, err := r.Begin(t.Context(), etcd(5), BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(t.Context()); !errors.Is(err, ErrOrder) {
		t.Errorf("published before it was written: %v", err)
	}
	m, err := r.Manifest(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	before := len(st.puts)
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir(), Parent: m}, itemsOf(files)); err == nil || len(st.puts) > before {
		t.Errorf("the manifest of %s served as that of %s: %v", first.ID, second.ID, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Begin(t.Context(), etcd(4), BeginOptions{}); !errors.Is(err, ErrFencedOff) {
		t.Errorf("an earlier holder begins: %v", err)
	}
	if _, err := r.Abandon(t.Context(), etcd(5), []ID{second.ID}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a live snapshot was abandoned, or nearly: %v", err)
	}
	if c, err := r.Catalog(t.Context()); err != nil || len(c.Live) != 2 || len(c.Dead) != 0 {
		t.Errorf("%d live, %d dead, %v", len(c.Live), len(c.Dead), err)
	}
}

// What is discarded is gone without a commit, and is never published; what may be published is never discarded.
func TestDiscard(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	first := takes(t, r, etcd(5), []*testFile{newFile("a", noise(1, 1000))})
	before := len(st.objects)
	d := written(t, r, etcd(5), []*testFile{newFile("a", noise(2, 1000))})
	if err := d.Discard(t.Context()); err != nil || len(st.objects) != before {
		t.Errorf("%d objects, %d before, %v: expected what was written to be gone", len(st.objects), before, err)
	}
	if _, err := d.Publish(t.Context()); !errors.Is(err, ErrOrder) {
		t.Errorf("published after it was discarded: %v", err)
	}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(nil)); err == nil {
		t.Error("written again after it was discarded")
	}
	if err := r.Verify(t.Context(), first, nil); err != nil {
		t.Error(err)
	}
	d = written(t, r, etcd(5), []*testFile{newFile("a", noise(3, 1000))})
	second, err := d.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(t.Context()); !errors.Is(err, ErrOrder) {
		t.Errorf("discarded after it was published: %v", err)
	}
	if err := r.Verify(t.Context(), second, nil); err != nil {
		t.Error(err)
	}
	d = written(t, r, etcd(5), []*testFile{newFile("a", noise(4, 1000))})
	st.after = func(op, _ string) error { // done, and nobody hears of it
		if op == "create" {
			st.before = func(string, string) error { return store.ErrUnreachable }
			return store.ErrAmbiguous
		}
		return nil
	}
	_, err = d.Publish(t.Context())
	st.before, st.after = nil, nil
	if !errors.Is(err, ErrUncertain) || !errors.Is(d.Discard(t.Context()), ErrOrder) {
		t.Errorf("publishing said %v, and it was discarded", err)
	}
}

// The dead are remembered as long as something of theirs is there, and the log as long as a writer may ask.
func TestTidyKeeps(t *testing.T) { eachForm(t, testTidyKeeps) }

func testTidyKeeps(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	r.windows = windows{publish: 3, dead: 5}
	keep := newFile("keep", noise(1, 1000))
	first := takes(t, r, etcd(5), []*testFile{keep})
	second := takes(t, r, etcd(5), []*testFile{keep})
	if _, err := r.Forget(t.Context(), etcd(5), []ID{first.ID}, false); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if _, err := r.Pin(t.Context(), etcd(5), second.ID, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Collect(t.Context(), etcd(5), false); err != nil {
			t.Fatal(err)
		}
	}
	c, err := r.Catalog(t.Context())
	if err != nil || !c.dead(first.ID) {
		t.Errorf("%s is forgotten, %v, though %s names a pack of it", first.ID, err, second.ID)
	}
	for n := c.Number; n+r.windows.dead > c.Number; n-- {
		if _, there := st.peek(catalogKey(n)); !there {
			t.Errorf("catalog %d is gone by %d, want the last %d kept", n, c.Number, r.windows.dead)
		}
	}
}

// Lists of packs whose hash the catalog does not have any more must be whole in themselves.
func TestPackListsOfTheDead(t *testing.T) {
	st := newMemStore()
	r := form{newKey(t)}.repo(t, st)
	keep := newFile("keep", noise(1, 1000))
	first := takes(t, r, Holder{}, []*testFile{keep})
	second := takes(t, r, Holder{}, []*testFile{keep})
	if _, err := r.Forget(t.Context(), Holder{}, []ID{first.ID}, false); err != nil {
		t.Fatal(err)
	}
	good := st.objects[first.ID.packsKey()]
	for name, text := range map[string]string{
		"cut off": string(good[:len(good)/2]),
		"no end":  strings.Join(strings.SplitAfter(string(good), "\n")[:3], ""),
		"count":   strings.Replace(string(good), `"packs":1}`, `"packs":2}`, 1),
		"without the pack": string(bytes.Join([][]byte{bytes.SplitAfter(good, []byte("\n"))[0],
			[]byte(`{"end":true,"packs":0}` + "\n")}, nil)),
		"more":      string(good) + `{"pack":1}` + "\n",
		"another's": strings.ReplaceAll(string(good), string(first.ID), string(second.ID)),
		"negative":  strings.Replace(string(good), `"pack":0`, `"pack":-1`, 1),
		"words":     strings.Replace(string(good), `"pack":0`, `"pack":"a"`, 1),
	} {
		st.objects[first.ID.packsKey()] = []byte(text)
		if err := r.VerifyStored(t.Context(), second, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want it to be damaged", name, err)
		}
	}
}
