package snapshot

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

// A meanwhile is a store in which something happens right after its catalogs were listed for the first time.
type meanwhile struct {
	*memStore
	happens func()
}

func (m *meanwhile) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	list := m.sorted(prefix, after)
	if happens := m.happens; prefix == catalogPrefix && happens != nil {
		m.happens = nil
		happens()
	}
	return func(yield func(store.Object, error) bool) {
		for _, o := range list {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// TestFirstCommitMeanwhile: a manifest that came with the first catalog, right after we found none, is no sign
// that catalogs were lost. Without any catalog it is.
func TestFirstCommitMeanwhile(t *testing.T) {
	mem := newMemStore()
	testRepo(t, mem)
	var last Snapshot
	st := &meanwhile{memStore: mem}
	st.happens = func() { last = takes(t, form{}.open(t, mem), Holder{}, []*testFile{newFile("a", noise(1, 1000))}) }
	c, err := form{}.open(t, st).Catalog(t.Context())
	if newest, any := c.Newest(); err != nil || !any || newest.ID != last.ID {
		t.Errorf("catalog %d, %v: expected snapshot %s", c.Number, err, last.ID)
	}
	for n := range c.Number {
		if err := mem.Delete(t.Context(), catalogKey(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (form{}).open(t, mem).Catalog(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("without catalogs: %v", err)
	}
}
