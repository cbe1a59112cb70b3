package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A source is the manifest of the chosen snapshot, in a local file, so that it can be read several times.
type source struct {
	repo *snapshot.Repository
	snap snapshot.Snapshot
	path string
}

func (s *source) open(ctx context.Context) (*snapshot.Manifest, error) {
	return s.repo.ParentManifest(ctx, s.path, s.snap)
}

// entries gives all entries as a tree has them.
func (s *source) entries(ctx context.Context) iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		err := s.each(ctx, func(_ *snapshot.Manifest, e *snapshot.Entry) error {
			t, err := e.Tree()
			if err == nil && !yield(t, nil) {
				err = errStop
			}
			return err
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(fstree.Entry{}, err)
		}
	}
}

// errStop ends each; it is no failure.
var errStop = errors.New("enough")

// each reads the manifest to its end, which proves it.
func (s *source) each(ctx context.Context, f func(*snapshot.Manifest, *snapshot.Entry) error) error {
	m, err := s.open(ctx)
	if err != nil {
		return err
	}
	for n := 0; err == nil; n++ {
		var e *snapshot.Entry
		if e, err = m.NextEntry(); err == nil {
			err = f(m, e)
		}
		if n%1024 == 0 && err == nil {
			err = context.Cause(ctx)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, m.Close())
}

// A survey is what a manifest says as a whole.
type survey struct {
	entries, files int64
	space          int64 // bytes that its files need on a disk
	stored         int64 // bytes of the frames that are named, about
	last           snapshot.Frame
	stream         *snapshot.Entry
	dirs           map[string]bool // which of the start sentinels are directories here: then they are none
}

// look reads the whole manifest before anything is touched: a damaged one is found while the old data is
// still there.
func (s *source) look(ctx context.Context, sentinels []string) (survey, error) {
	v := survey{dirs: map[string]bool{}}
	err := s.each(ctx, func(m *snapshot.Manifest, e *snapshot.Entry) error {
		v.entries++
		for _, x := range sentinels {
			if e.Path == x && e.Kind == snapshot.Dir {
				v.dirs[x] = true
			}
		}
		switch e.Kind {
		case snapshot.File:
			v.files++
			return v.file(m, e)
		case snapshot.Stream:
			c := *e
			v.stream = &c
			return v.file(m, e)
		}
		return nil
	})
	if err == nil && v.stream != nil && v.entries != 1 {
		err = fmt.Errorf("%w: a stream beside other entries", snapshot.ErrDamaged)
	}
	return v, err
}

func (v *survey) file(m *snapshot.Manifest, e *snapshot.Entry) error {
	data := int64(0)
	for {
		r, err := m.NextRun()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		data += r.Len
		if r.Frame != v.last {
			v.stored, v.last = v.stored+r.Frame.Stored, r.Frame
		}
	}
	if !e.File.Sparse {
		data = max(data, e.File.Size)
	}
	v.space += (data + block - 1) / block * block
	return nil
}

// block is the least that a file with data takes on most filesystems.
const block = 4096
