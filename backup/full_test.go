package backup

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
)

// A small store takes so many bytes; once it was full, somebody else has taken what was left.
type small struct {
	store.Store
	mu   sync.Mutex
	room int64
}

func (s *small) used(ctx context.Context) (all int64, err error) {
	for o, err := range s.List(ctx, "", "") {
		if err != nil {
			return 0, err
		}
		all += o.Size
	}
	return all, nil
}

func (s *small) fits(ctx context.Context, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	used, err := s.used(ctx)
	if err != nil || used+size <= s.room {
		return err
	}
	s.room = min(s.room, used)
	return store.ErrFull
}

func (s *small) Create(ctx context.Context, key string, data []byte) error {
	if err := s.fits(ctx, int64(len(data))); err != nil {
		return err
	}
	return s.Store.Create(ctx, key, data)
}

func (s *small) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	if err := s.fits(ctx, size); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, body, size)
}

func (r *rig) noise(name string, size int) {
	r.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size >> 20)}).Read(b) // never fails
	r.write(name, string(b))
}

// TestFullStore: a backup that fills its store takes itself away again, and so what killed ones have left: else
// no later one had the room to succeed, and none would clear it away.
func TestFullStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	st, err := dir.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	s := &small{Store: st, room: 24 << 20}
	r.repo, err = snapshot.Init(t.Context(), s, snapshot.Scope{}, time.Now)
	must(t, err)
	r.o.Repository, r.o.Workers = r.repo, 1
	r.write("a", "one")
	r.takes(r.cold())
	before, err := s.used(t.Context())
	must(t, err)

	r.noise("big", 40<<20)
	r.refuses(r.cold(), store.ErrFull)
	if after, err := s.used(t.Context()); err != nil || after > before+1<<20 {
		t.Errorf("%d bytes in the full store, %d before (%v): expected what was not published to be removed", after, before, err)
	}
	s.room = 24 << 20
	r.noise("big", 20<<20)
	r.takes(r.cold())
}

// owners are the snapshots of which something lies in the store.
func (r *rig) owners(at string) (ids []string) {
	r.Helper()
	found, err := os.ReadDir(filepath.Join(at, "snap"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Fatal(err)
	}
	for _, e := range found {
		ids = append(ids, e.Name())
	}
	return ids
}

// marks counts the snapshots that are begun, as far as the scratch directory tells.
func (r *rig) marks() int {
	r.Helper()
	found, err := filepath.Glob(filepath.Join(r.scratch, scratchName, "*"+begunSuffix))
	must(r, err)
	return len(found)
}

// TestFailedLeavesNothing: a backup that fails each time it is tried again must not fill its store, nor one whose
// time is over; what a killed one left goes with the next, whatever becomes of that.
func TestFailedLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := t.TempDir()
	r.repo = newRepository(t, at)
	r.o.Repository = r.repo
	fails := func(what string, ctx context.Context, src Source, want error) {
		t.Helper()
		r.refusesIn(ctx, src, want)
		if left := r.owners(at); len(left) != len(r.catalog().Live) {
			t.Errorf("%s: %v lie in the store: expected those of %d published", what, left, len(r.catalog().Live))
		}
		if n := r.marks(); n != 0 {
			t.Errorf("%s: %d are begun in the scratch directory: expected none", what, n)
		}
	}
	noise := "head -c 3000000 /dev/urandom; "
	fails("command", t.Context(), r.shell(noise+"exit 1"), ErrCommand)
	r.takes(r.shell(noise))
	fails("shrunk", t.Context(), r.shell("echo x"), ErrShrunk)
	late, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	fails("late", late, r.shell("head -c 60000000 /dev/urandom; exec sleep 1000"), context.DeadlineExceeded)

	for range leftAlone + 1 {
		r.killed()
	}
	if left := r.owners(at); len(left) != 1+leftAlone+1 {
		t.Fatalf("%v: expected what was published and what was left", left)
	}
	fails("after kills", t.Context(), r.shell("exit 1"), ErrCommand)
	r.killed()
	r.takes(r.shell(noise))
	_, err := Keep(t.Context(), r.repo, snapshot.Holder{}, snapshot.Keep{Last: 1})
	must(t, err)
	if left := r.owners(at); len(left) != 1 || r.marks() != 0 {
		t.Errorf("%v lie in the store, %d are begun: expected the one that is kept", left, r.marks())
	}
}

// killed leaves what a backup does that is killed before it is published.
func (r *rig) killed() {
	r.Helper()
	d, err := r.repo.Begin(r.Context(), snapshot.Holder{}, snapshot.BeginOptions{Full: true})
	must(r, err)
	work, err := openScratch(r.scratch, nil)
	must(r, err)
	must(r, work.mark(r.repo.ID, d.Snapshot.ID))
	must(r, work.close())
	e := snapshot.Entry{Path: "dump", Kind: snapshot.Stream, Mode: 0o600}
	_, err = d.Write(r.Context(), snapshot.WriteOptions{Scratch: r.TempDir()}, one(snapshot.Item{Entry: e, Stream: strings.NewReader("left behind")}))
	must(r, err)
}

// TestScratchOfTwoStores: what a backup into one store has left is no matter of a backup into another.
func TestScratchOfTwoStores(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	first, other := r.repo, newRepository(t, t.TempDir())
	work, err := openScratch(r.scratch, nil)
	must(t, err)
	must(t, work.mark(first.ID, snapshot.NewID(time.Now(), 0))) // as a killed one leaves it
	must(t, work.close())
	r.repo, r.o.Repository = other, other
	r.takes(r.cold())
	if dead := r.catalog().Dead; len(dead) > 0 || r.marks() != 1 {
		t.Errorf("dead in the other store: %v; %d begun in the scratch directory: expected none, and the first store's", dead, r.marks())
	}
	r.repo, r.o.Repository = first, first
	r.takes(r.cold())
	if dead := r.catalog().Dead; len(dead) != 1 || r.marks() != 0 {
		t.Errorf("dead: %v; %d begun: expected the one that was killed, and none", dead, r.marks())
	}
}
