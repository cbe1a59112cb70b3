package fstree

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep removes all that is not in a stream of entries, or of another kind there. Only where all is ours.
// It comes before anything is written, so that the space is free. What is excluded stays, unless the
// directory goes that it lies in.
func (g *Target) Sweep(wanted iter.Seq2[Entry, error]) error {
	if !g.ours {
		return fmt.Errorf("remove what is not in the snapshot from %q: %w", g.t.path, ErrForeign)
	}
	next, stop := iter.Pull2(inOrder(wanted))
	defer stop()
	s := &sweeper{g: g, next: next, seen: map[string]bool{}}
	w := &walker{t: g.t, s: newStack(g.t), bare: true}
	w.yield = func(e Entry, err error) bool {
		if err != nil && !errors.Is(err, ErrVanished) {
			s.err = err
		} else if err == nil {
			w.skip, s.err = s.compare(&e)
		}
		return s.err == nil
	}
	w.run()
	err := errors.Join(s.err, w.s.close())
	if err != nil {
		return err
	}
	return s.finish()
}

// A sweeper holds two ordered streams against each other.
type sweeper struct {
	g      *Target
	next   func() (Entry, error, bool)
	want   Entry
	ended  bool
	begun  bool
	seen   map[string]bool // sentinels that are wanted
	asides []string        // sentinels that lie aside
	err    error
}

// advance goes on in what is wanted up to a path.
func (s *sweeper) advance(path string) error {
	for !s.ended && (!s.begun || Compare(s.want.Path, path) < 0) {
		e, err, ok := s.next()
		if err != nil {
			return err
		}
		s.want, s.ended, s.begun = e, !ok, true
		if ok && slices.Contains(s.g.sentinels, e.Path) {
			s.seen[e.Path] = true
		}
	}
	return nil
}

// compare keeps or removes what exists, and tells whether it was removed.
func (s *sweeper) compare(e *Entry) (bool, error) {
	if err := s.advance(e.Path); err != nil {
		return true, err
	}
	if e.Path == Root {
		return false, nil
	}
	if first, is := strings.CutSuffix(e.Path, aside); is && slices.Contains(s.g.sentinels, first) {
		s.asides = append(s.asides, first)
		return true, nil
	}
	if !s.ended && s.want.Path == e.Path && (e.Kind == s.want.Kind || e.Kind != Dir && s.want.Link != "") {
		return false, nil
	}
	return true, s.g.remove(e.Path)
}

// finish removes sentinels that lie aside and will not come again, once all that is wanted has been seen.
func (s *sweeper) finish() error {
	for !s.ended {
		if err := s.advance(s.want.Path + "\x01"); err != nil {
			return err
		}
	}
	for _, path := range s.asides {
		if s.seen[path] {
			continue
		}
		if err := s.g.remove(path + aside); err != nil {
			return err
		}
	}
	return nil
}

// inOrder fails a stream that is not sorted, or has a path twice.
func inOrder(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		last := ""
		for e, err := range entries {
			if err == nil {
				err = e.Check()
			}
			if err == nil && last != "" && Compare(last, e.Path) >= 0 {
				err = fmt.Errorf("%q after %q: %w: %w", e.Path, last, ErrHostile, errUnsorted)
			}
			if !yield(e, err) || err != nil {
				return
			}
			last = e.Path
		}
	}
}

// Seal gives directories their owner, attributes, mode and times, each after all that is below it. entries
// is the whole stream again, or the directories of it.
func (g *Target) Seal(entries iter.Seq2[Entry, error]) error {
	var open []Entry
	for e, err := range inOrder(entries) {
		if err == nil {
			err = g.accept(&e)
		}
		if err != nil {
			return err
		}
		if e.Kind != Dir {
			continue
		}
		for len(open) > 0 && !Below(open[len(open)-1].Path, e.Path) {
			if err := g.seal(&open[len(open)-1]); err != nil {
				return err
			}
			open = open[:len(open)-1]
		}
		open = append(open, e)
	}
	for _, e := range slices.Backward(open) {
		if err := g.seal(&e); err != nil {
			return err
		}
	}
	return nil
}

// seal finishes one directory. One above a sentinel stays open for its owner, and is finished again when
// the sentinel is in it: an ACL could shut him out too.
func (g *Target) seal(e *Entry) error {
	if !g.holdsSentinel(e.Path) {
		return g.dressDir(e, e.Mode)
	}
	g.late = append(g.late, *e)
	early := *e
	early.Xattrs = slices.DeleteFunc(slices.Clone(e.Xattrs), func(x Xattr) bool { return isACL(x.Name) })
	mode := e.Mode | 0o700
	if len(early.Xattrs) < len(e.Xattrs) {
		mode = 0o700 // the group's bits are those of many
	}
	return g.dressDir(&early, mode)
}

func (g *Target) holdsSentinel(dir string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.put {
		if Below(dir, s) {
			return true
		}
	}
	return false
}

func (g *Target) dressDir(e *Entry, mode uint32) error {
	fd, err := g.t.open(e.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return failed("open directory", e.Path, err)
	}
	return errors.Join(g.dress(fd, e, mode), wrap("close", e.Path, unix.Close(fd)))
}
