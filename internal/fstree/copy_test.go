package fstree

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
)

// copyTree is what a restore does, in the order that Target asks for, from a tree instead of a store. It
// writes only what differs.
func copyTree(from, to string, o TargetOptions) error {
	src, err := Open(from, Options{Exclude: o.Exclude})
	if err != nil {
		return err
	}
	var all []Entry
	for e, err := range src.Walk() {
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	g, err := OpenTarget(to, o)
	if err != nil {
		return err
	}
	err = apply(g, all, func(w *Writer, e Entry) error { return fill(src, w, e) })
	return errors.Join(err, g.Close(), src.Close())
}

// apply makes a tree of entries.
func apply(g *Target, all []Entry, content func(*Writer, Entry) error) error {
	if err := g.Begin(); err != nil {
		return err
	}
	if g.ours {
		if err := g.Sweep(stream(all)); err != nil {
			return err
		}
	}
	// Directories in order, then many files at once, then links.
	for pass := range 3 {
		var some []Entry
		for _, e := range all {
			if (e.Kind == Dir && pass == 0) || (e.Kind != Dir && e.Link == "" && pass == 1) || (e.Link != "" && pass == 2) {
				some = append(some, e)
			}
		}
		if err := applySome(g, some, pass == 1, content); err != nil {
			return err
		}
	}
	if err := g.Seal(stream(all)); err != nil {
		return err
	}
	return g.Finish()
}

func applySome(g *Target, some []Entry, parallel bool, content func(*Writer, Entry) error) error {
	n := 1
	if parallel {
		n = 3
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() {
			for i := k; i < len(some) && errs[k] == nil; i += n {
				errs[k] = applyOne(g, some[i], content)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func applyOne(g *Target, e Entry, content func(*Writer, Entry) error) error {
	if e.Kind != File || e.Link != "" {
		return g.Place(e)
	}
	w, err := g.Create(e)
	if err != nil {
		return err
	}
	if err := content(w, e); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Finish()
}

// fill copies the runs of a file and makes holes of the rest.
func fill(src *Tree, w *Writer, e Entry) error {
	r, err := src.Open(e)
	if err != nil {
		return err
	}
	err = fillFrom(r, w, e.Size)
	return errors.Join(err, r.Check(), r.Close())
}

func fillFrom(r *Reader, w *Writer, size int64) error {
	at := int64(0)
	for run, err := range r.Runs() {
		if err == nil {
			err = w.Hole(at, run.Off-at)
		}
		if err == nil {
			err = fillRun(r, w, run)
		}
		if err != nil {
			return err
		}
		at = run.Off + run.Len
	}
	return w.Hole(at, size-at)
}

func fillRun(r *Reader, w *Writer, run Run) error {
	want, have := make([]byte, min(run.Len, 300<<10)), make([]byte, min(run.Len, 300<<10))
	for off, end := run.Off, run.Off+run.Len; off < end; {
		p := want[:min(end-off, int64(len(want)))]
		if _, err := r.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		same := off+int64(len(p)) <= w.Old()
		if same {
			if _, err := w.ReadAt(have[:len(p)], off); err != nil {
				return err
			}
			same = bytes.Equal(p, have[:len(p)])
		}
		if !same {
			if _, err := w.WriteAt(p, off); err != nil {
				return err
			}
		}
		off += int64(len(p))
	}
	return nil
}

func stream(all []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e := range slices.Values(all) {
			if !yield(e, nil) {
				return
			}
		}
	}
}
