package snapshot

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/interlock-run/interlock/internal/crew"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/klauspost/compress/zstd"
)

// Progress counts while a snapshot is written or read; it may be read at any time.
type Progress struct {
	Entries atomic.Int64
	Bytes   atomic.Int64 // read from files, or of files restored
	Reused  atomic.Int64 // of files that were not read because they are unchanged
	Stored  atomic.Int64 // compressed, given to the store or fetched from it
}

// A WriteOptions is what a Draft's writing needs beside the items.
type WriteOptions struct {
	// Parent is the manifest of Draft.Parent, from the store or a kept copy; nil to read everything. It is
	// not closed.
	Parent *Manifest
	// Scratch is a directory for the manifest until it is stored.
	Scratch string
	// Late, if there is one, is called once all items have been read and stored. What it gives is added to
	// the snapshot, in place of entries of the same path: a whole tree of its own, in order, or nil.
	Late func() (iter.Seq2[Item, error], error)
	// Workers bounds the goroutines that hash, and those that compress; 0 is one for each core.
	Workers  int
	Progress *Progress // may be nil
}

// A writing is one snapshot on its way: submit -> hash -> join -> compress -> place -> upload, each its own
// goroutines, in order where the manifest wants order. Memory is what the pools hold, 38 MiB in all.
type writing struct {
	store    store.Store
	id       ID
	now      func() time.Time
	progress *Progress
	group    *crew.Crew
	enc      *zstd.Encoder
	pools    pools
	lanes    lanes
	sources  openSources
	seal     *seal
	list     *packList
}

type pools struct{ batches, frames, outs, packs *pool }

type lanes struct {
	hash     chan *batch
	ordered  chan *batch
	compress chan *section
	sections chan *section
	uploads  chan *fullPack
}

// newPools makes what all buffers together are: at most 7 + 2 + 4*1.125 + 3*8 MiB, where packs are
// encrypted half a MiB more.
func newPools(workers, pack int) pools {
	return pools{
		batches: newPool(min(2*workers+2, 7), maxFrame),
		frames:  newPool(2, maxFrame),
		outs:    newPool(min(workers+2, 4), maxStored),
		packs:   newPool(3, pack),
	}
}

func newLanes() lanes {
	return lanes{make(chan *batch, 16), make(chan *batch, 16), make(chan *section, 16), make(chan *section, 16), make(chan *fullPack, 1)}
}

// Write stores all that the items are, and then the manifest. It publishes nothing: Draft.Publish does.
// The manifest's copy is left in the scratch directory, for the next snapshot, under the name it returns;
// the caller renames or removes it.
func (d *Draft) Write(ctx context.Context, o WriteOptions, items iter.Seq2[Item, error]) (path string, err error) {
	if d.used { // a request of the first try that the store has not answered may still overwrite what the second stores
		return "", fmt.Errorf("snapshot %s is written a second time, begin anew: %w", d.Snapshot.ID, ErrOrder)
	}
	d.used = true
	copied, err := os.CreateTemp(o.Scratch, "manifest-*.tmp")
	if err != nil {
		return "", fmt.Errorf("scratch directory: %w", err)
	}
	defer func() {
		err = errors.Join(err, copied.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(copied.Name()))
		}
	}()
	if err := d.write(ctx, o, copied, items); err != nil {
		return "", fmt.Errorf("snapshot %s: %w", d.Snapshot.ID, err)
	}
	return copied.Name(), nil
}

func (d *Draft) write(ctx context.Context, o WriteOptions, copied *os.File, items iter.Seq2[Item, error]) (err error) {
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	if o.Parent == nil {
		d.Snapshot.Parent = ""
	} else if o.Parent.Snapshot != d.Snapshot.Parent {
		return fmt.Errorf("manifest of %s given as that of the parent %s", o.Parent.Snapshot, d.Snapshot.Parent)
	}
	head := Header{"manifest", Format, d.repo.ID, d.Snapshot.ID, d.Snapshot.Parent, d.chunk}
	m, err := newManifestWriter(copied, head)
	if err != nil {
		return err
	}
	list, err := d.newPackList(o.Scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.close()) }()
	if err := d.pipeline(ctx, o, m, list, items); err != nil {
		return err
	}
	if o.Late != nil {
		if m, err = d.late(ctx, o, head, m, list, copied); err != nil {
			return err
		}
	}
	return d.manifest(ctx, o, m, list, copied)
}

// manifest stores the finished manifest, after all packs.
func (d *Draft) manifest(ctx context.Context, o WriteOptions, m *manifestWriter, list *packList, copied *os.File) error {
	plain, err := m.finish()
	if err != nil {
		return fmt.Errorf("write the manifest in the scratch directory: %w", err)
	}
	if err := d.first(ctx); err != nil {
		return err
	}
	packs, err := list.store(ctx, d, m.packs.owners())
	if err != nil {
		return err
	}
	object, err := d.storeManifest(ctx, o.Scratch, plain, copied)
	if err != nil {
		return err
	}
	s := &d.Snapshot
	s.Packs, s.Manifest, s.Entries = packs, object, m.end.Entries
	s.Bytes, s.Stored = m.bytes, o.Progress.Stored.Load()+object.Size+packs.Size
	d.written = true
	return nil
}

// pipeline runs until all packs are stored and all lines written.
func (d *Draft) pipeline(ctx context.Context, o WriteOptions, m *manifestWriter, list *packList, items iter.Seq2[Item, error]) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	enc, err := newEncoder(workers)
	if err != nil {
		return err
	}
	w := &writing{store: d.repo.store, id: d.Snapshot.ID, now: d.repo.now, progress: o.Progress, group: crew.New(ctx),
		enc: enc, pools: newPools(workers, d.repo.seal.packSize()), lanes: newLanes(), sources: openSources{all: map[*source]struct{}{}},
		seal: d.repo.seal, list: list}
	for range workers {
		w.group.Run(w.hash)
		w.group.Run(w.compress)
	}
	for range 2 {
		w.group.Run(w.upload)
	}
	w.group.Run((&joiner{w: w}).run)
	place := &placer{w: w, manifest: m, packs: d.packs}
	w.group.Run(place.run)
	w.group.Run(func() error { return w.submit(o.Parent, d.chunk, items) })
	err = errors.Join(w.group.Join(), w.sources.closeAll(), enc.Close())
	d.packs = place.packs
	return err
}

// submit takes all items; the pipeline ends behind it.
func (w *writing) submit(from *Manifest, chunk int64, items iter.Seq2[Item, error]) error {
	defer close(w.lanes.ordered)
	defer close(w.lanes.hash)
	old, err := newParent(from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrParentGone, err)
	}
	s := &submitter{w: w, old: old, chunk: chunk}
	for item, err := range items {
		if err == nil {
			err = s.add(&item)
		}
		if err == nil {
			err = context.Cause(w.group.Context())
		}
		if err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := old.finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrParentGone, err)
	}
	return nil
}
