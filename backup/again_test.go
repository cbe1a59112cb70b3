package backup

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
)

// An unsure store does what is asked and then says that it does not know.
type unsure struct {
	store.Store
	creates atomic.Int64 // that are left to fail
	lose    bool         // it does not even do them
}

func (u *unsure) Create(ctx context.Context, key string, data []byte) error {
	if u.creates.Add(-1) < 0 || !strings.HasPrefix(key, "catalog/") {
		return u.Store.Create(ctx, key, data)
	}
	if !u.lose {
		if err := u.Store.Create(ctx, key, data); err != nil {
			return err
		}
	}
	return store.ErrAmbiguous
}

func newUnsure(t *testing.T) (*rig, *unsure) {
	t.Helper()
	r := newRig(t)
	st, err := dir.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	u := &unsure{Store: st}
	r.repo, err = snapshot.Init(t.Context(), u, snapshot.Scope{}, time.Now)
	must(t, err)
	r.o.Repository = r.repo
	return r, u
}

// A commit of which the store says nothing is looked up, whether it was done or not.
func TestUncertain(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		r, u := newUnsure(t)
		r.write("a", "one")
		r.takes(r.cold())
		r.write("a", "two")
		u.lose = lose
		u.creates.Store(1)
		s := r.takes(r.cold()).Snapshot
		if live := r.catalog().Live; len(live) != 2 || live[1].ID != s.ID || r.content(s)["a"] != "two" {
			t.Errorf("lost %v: %d live", lose, len(live))
		}
	}
}

// A parent that is removed while the next snapshot is made makes it begin anew; the result is whole.
func TestParentGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", strings.Repeat("a", 3<<20))
	first := r.takes(r.cold()).Snapshot
	r.write("z", "last")
	gone := false
	res, err := r.takesWhile(r.cold(), map[string]func(){"z": func() {
		if gone {
			return
		}
		gone = true
		_, err := r.repo.Forget(t.Context(), snapshot.Holder{}, []snapshot.ID{first.ID}, true)
		must(t, err)
		_, err = r.repo.Collect(t.Context(), snapshot.Holder{}, false)
		must(t, err)
	}})
	must(t, err)
	must(t, r.repo.Verify(t.Context(), res.Snapshot, nil))
	if res.Snapshot.Parent != "" || res.Snapshot.Bytes != 3<<20+4 {
		t.Errorf("parent %q, %d bytes: expected a snapshot that builds on nothing", res.Snapshot.Parent, res.Snapshot.Bytes)
	}
}

// An overtaken holder publishes nothing, and does not try again.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	r.write("z", "last")
	scope := snapshot.Scope{Lock: "db", Kind: "file"}
	r.o.Holder = snapshot.Holder{Token: 5, Scope: scope}
	r.takes(r.cold())
	times := 0
	_, err := r.takesWhile(r.cold(), map[string]func(){"z": func() {
		times++
		_, err := r.repo.Claim(t.Context(), snapshot.Holder{Token: 6, Scope: scope})
		must(t, err)
	}})
	if !errors.Is(err, snapshot.ErrFencedOff) || times != 1 {
		t.Errorf("after %d tries: %v, want %v", times, err, snapshot.ErrFencedOff)
	}
	if n := len(r.catalog().Live); n != 1 {
		t.Errorf("%d live, want 1", n)
	}
	if _, err := Keep(t.Context(), r.repo, r.o.Holder, snapshot.Keep{Last: 1}); !errors.Is(err, snapshot.ErrFencedOff) {
		t.Errorf("retention: %v, want %v", err, snapshot.ErrFencedOff)
	}
	r.o.Holder = snapshot.Holder{Token: 9, Scope: snapshot.Scope{Lock: "other", Kind: "file"}}
	r.refuses(r.cold(), snapshot.ErrScope)
}

func TestKeep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, text := range []string{"one", "two", "three", "four"} {
		r.write("a", strings.Repeat(text, 1000))
		r.takes(r.cold())
	}
	p, err := Keep(t.Context(), r.repo, snapshot.Holder{}, snapshot.Keep{Last: 2})
	must(t, err)
	if live := r.catalog().Live; len(p.Forgotten) != 2 || len(live) != 2 || p.Sweep.Deleted == 0 {
		t.Errorf("%d forgotten, %d live, %d objects deleted", len(p.Forgotten), len(live), p.Sweep.Deleted)
	}
	for _, s := range r.catalog().Live {
		must(t, r.repo.Verify(t.Context(), s, nil))
	}
}
