package snapshot

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

// A repository of which the catalogs were lost is no empty one: nobody starts empty by it, and no collection
// under a later token deletes what is there.
func TestLostCatalogs(t *testing.T) { eachForm(t, testLostCatalogs) }

func testLostCatalogs(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	takes(t, r, etcd(5), []*testFile{newFile("a", noise(1, 1000))})
	for key := range st.objects {
		if strings.HasPrefix(key, catalogPrefix) {
			delete(st.objects, key)
		}
	}
	before := len(st.objects)
	again, err := Open(t.Context(), st, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Catalog(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("the catalog: %v, want %v", err, ErrDamaged)
	}
	if _, err := again.Claim(t.Context(), etcd(6)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a claim: %v, want %v", err, ErrDamaged)
	}
	if _, err := again.Collect(t.Context(), etcd(6), false); !errors.Is(err, ErrDamaged) || len(st.objects) != before {
		t.Errorf("a collection: %v, %d objects of %d left", err, len(st.objects), before)
	}
}

// A first snapshot that ends at any of its steps leaves a repository that can be used.
func TestFirstSnapshotCutOff(t *testing.T) {
	for _, suffix := range []string{".pack", "manifest.zst", catalogKey(1), catalogKey(2)} {
		for _, op := range []string{"put", "create"} {
			st := newMemStore()
			r := testRepo(t, st)
			failOn(op, suffix, errTest)(st)
			_, err := take(t, r, Holder{}, []*testFile{newFile("a", noise(1, 1000))})
			st.before = nil
			if again := takes(t, r, Holder{}, []*testFile{newFile("a", noise(1, 1000))}); again.ID == "" {
				t.Errorf("%s %s, %v: nothing published afterwards", op, suffix, err)
			}
		}
	}
}

// An oldList does not show the newest objects, as a network filesystem may.
type oldList struct {
	*memStore
	hidden int
}

func (o oldList) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	list := o.sorted(prefix, after)
	list = list[:max(0, len(list)-o.hidden)]
	return func(yield func(store.Object, error) bool) {
		for _, l := range list {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func TestOldLists(t *testing.T) { eachForm(t, testOldLists) }

func testOldLists(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	var last Snapshot
	for range 4 {
		last = takes(t, r, etcd(5), files)
	}
	late := as.open(t, oldList{st, 3})
	c, err := late.Claim(t.Context(), etcd(5))
	if s, _ := c.Newest(); err != nil || s.ID != last.ID {
		t.Errorf("a claim under the same token gives %s, %v, want %s to choose from", s.ID, err, last.ID)
	}
	if _, err := as.open(t, oldList{st, 3}).Claim(t.Context(), etcd(4)); !errors.Is(err, ErrFencedOff) {
		t.Errorf("an earlier holder: %v, want %v", err, ErrFencedOff)
	}
	mine := takes(t, as.open(t, oldList{st, 3}), etcd(5), files)
	if c, err := r.Catalog(t.Context()); err != nil || len(c.Live) != 5 || c.Live[4].ID != mine.ID {
		t.Errorf("%d live, %v, want the five in order", len(c.Live), err)
	}
}

// open opens the repository that f has made, as another program would.
func (f form) open(t *testing.T, st store.Store) *Repository {
	t.Helper()
	r, err := Open(t.Context(), st, testNow)
	if err == nil && f.key != nil {
		err = r.UseIdentities(f.key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A writer that slept for long finds its number free, and its list as old as itself: it is not told that it
// has published.
func TestFreeNumber(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	r.windows = windows{publish: 3, dead: 5}
	files := []*testFile{newFile("a", noise(1, 1000))}
	first := takes(t, r, etcd(5), files)
	late := form{}.open(t, st)
	d, err := late.Begin(t.Context(), etcd(5), BeginOptions{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files)); err != nil {
		t.Fatal(err)
	}
	st.before = func(op, key string) error { // it sleeps before its commit reaches the store
		if op == "create" {
			st.before = nil
			for i := range 20 {
				if _, err := r.Pin(t.Context(), etcd(5), first.ID, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			if _, err := r.Collect(t.Context(), etcd(5), false); err != nil {
				return err
			}
			late.store = oldList{st, 99}
		}
		return nil
	}
	if s, err := d.Publish(t.Context()); err == nil || !errors.Is(err, ErrUncertain) {
		t.Errorf("%s, %v: want %v", s.ID, err, ErrUncertain)
	}
	if c, err := r.Catalog(t.Context()); err != nil || len(c.Live) != 1 {
		t.Errorf("%d live, %v", len(c.Live), err)
	}
}

// What a later holder uploads is not ours to abandon; what was abandoned is not published.
func TestAbandon(t *testing.T) { eachForm(t, testAbandon) }

func testAbandon(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	takes(t, r, etcd(5), files)
	begin := func(token uint64) *Draft {
		d, err := r.Begin(t.Context(), etcd(token), BeginOptions{Full: true})
		if err == nil {
			_, err = d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files))
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ours, later := begin(5), begin(6)
	found, err := r.Collect(t.Context(), etcd(5), true)
	if err != nil || !slices.Contains(found.Current, ours.Snapshot.ID) || !slices.Contains(found.Current, later.Snapshot.ID) {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := r.Abandon(t.Context(), etcd(5), []ID{later.Snapshot.ID}); !errors.Is(err, ErrFencedOff) {
		t.Errorf("a later holder's upload was abandoned: %v", err)
	}
	if _, err := r.Abandon(t.Context(), etcd(5), []ID{ours.Snapshot.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Collect(t.Context(), etcd(5), false); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Publish(t.Context()); !errors.Is(err, ErrOutdated) {
		t.Errorf("what was abandoned is published: %v", err)
	}
	if s, err := later.Publish(t.Context()); err != nil || r.Verify(t.Context(), s, nil) != nil {
		t.Errorf("the later holder's: %v", err)
	}
}

// A second Write under one id could be overwritten by what is still under way of the first.
func TestWriteOnce(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	failOn("put", ".pack", errTest)(st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files)); !errors.Is(err, errTest) {
		t.Fatal(err)
	}
	st.before = nil
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files)); !errors.Is(err, ErrOrder) {
		t.Errorf("got %v, want %v", err, ErrOrder)
	}
}

// A catalog that no reader takes is not made: it would be the end of the repository.
func TestUnreadableCommit(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	takes(t, r, Holder{}, []*testFile{newFile("a", noise(1, 1000))})
	many := make([]ID, maxLive+1)
	for i := range many {
		many[i] = ID(fmt.Sprintf("20260304T050607Z-0-%016x", i))
	}
	if _, err := r.Abandon(t.Context(), Holder{}, many); err == nil {
		t.Error("more than a reader takes were committed")
	}
	if _, err := r.Catalog(t.Context()); err != nil {
		t.Error(err)
	}
}

// A token of a lock without a name could be compared with no other.
func TestTokenWithoutLock(t *testing.T) {
	r := testRepo(t, newMemStore())
	for _, who := range []Holder{{Token: 6}, {}, {Scope: Scope{"db", "etcd"}}} {
		if _, err := r.Claim(t.Context(), who); !errors.Is(err, ErrScope) {
			t.Errorf("%v: got %v, want %v", who, err, ErrScope)
		}
	}
}

// A commit that may still arrive is uncertain, whatever ends the waiting for it.
func TestOpenTryStaysUncertain(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	first := takes(t, r, etcd(5), []*testFile{newFile("a", noise(1, 1000))})
	st.before = func(op, key string) error {
		if op == "create" { // lost on its way, and then nothing answers
			st.before = failAll("list", store.ErrUnreachable)
			return store.ErrAmbiguous
		}
		return nil
	}
	if _, err := r.Pin(t.Context(), etcd(5), first.ID, "x"); !errors.Is(err, ErrUncertain) || !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("got %v, want %v", err, ErrUncertain)
	}
}

func failAll(op string, err error) func(op, key string) error {
	return func(o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

// A number that a tidying sweeper has just freed, while the next one is still there, is no commit of ours.
func TestNumberOfATidiedCatalog(t *testing.T) {
	st := newMemStore()
	r := testRepo(t, st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	first := takes(t, r, etcd(5), files)
	late := form{}.open(t, st)
	d, err := late.Begin(t.Context(), etcd(5), BeginOptions{Full: true})
	if err == nil {
		_, err = d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files))
	}
	if err != nil {
		t.Fatal(err)
	}
	base := d.begun
	st.before = func(op, key string) error {
		if op == "create" {
			st.before = nil
			for i := range 3 {
				if _, err := r.Pin(t.Context(), etcd(5), first.ID, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			for n := range base + 1 {
				delete(st.objects, catalogKey(n+1))
			}
		}
		return nil
	}
	s, err := d.Publish(t.Context())
	if err != nil || s.Number != base+4 {
		t.Errorf("published by commit %d, %v, want %d", s.Number, err, base+4)
	}
	if c, err := r.Catalog(t.Context()); err != nil || len(c.Live) != 2 {
		t.Errorf("%d live, %v, want both", len(c.Live), err)
	}
}
