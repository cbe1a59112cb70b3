package backup

import (
	"context"
	"io"
	"math/rand/v2"
	"path/filepath"
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

// TestScratchOfTwoStores: what a backup into one store has left is no matter of a backup into another.
func TestScratchOfTwoStores(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	one, other := r.repo, newRepository(t, t.TempDir())
	r.refuses(r.shell("echo x; exit 1"), ErrCommand)
	marks := func() int {
		found, err := filepath.Glob(filepath.Join(r.scratch, scratchName, "*"+begunSuffix))
		must(t, err)
		return len(found)
	}
	r.repo, r.o.Repository = other, other
	r.takes(r.cold())
	if dead := r.catalog().Dead; len(dead) > 0 || marks() != 1 {
		t.Errorf("dead in the other store: %v; %d begun in the scratch directory: expected none, and the first store's", dead, marks())
	}
	r.repo, r.o.Repository = one, one
	r.takes(r.cold())
	if dead := r.catalog().Dead; len(dead) != 1 || marks() != 0 {
		t.Errorf("dead: %v; %d begun: expected the one that failed, and none", dead, marks())
	}
}
