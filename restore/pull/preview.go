package pull

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A Preview counts what a restore would do; nothing is changed.
type Preview struct {
	Create int64 `json:"create"` // entries that are not there
	Change int64 `json:"change"` // whose bytes or metadata differ
	Same   int64 `json:"same"`
	Remove int64 `json:"remove"` // entries that the snapshot does not have
	Fetch  int64 `json:"fetch"`  // bytes from the store, about
	Stream bool  `json:"stream,omitempty"`
}

// Look compares what is there with the chosen snapshot: all of it is read, and nothing changed.
func Look(ctx context.Context, j Job) (Preview, error) {
	c := &counter{seen: map[snapshot.Frame]struct{}{}}
	err := withManifest(ctx, j, func(src *source) error {
		v, err := src.look(ctx, nil)
		if err != nil {
			return err
		}
		if c.Stream = v.stream != nil; c.Stream {
			return c.stream(&runner{Job: j, src: src}, v)
		}
		if _, err := os.Lstat(j.Target.Data); errors.Is(err, os.ErrNotExist) {
			c.Create, c.Fetch = v.entries, v.stored
			return nil
		}
		return src.against(ctx, j.Target.Data, j.Exclude, unprivileged(), c)
	})
	return c.Preview, coded(err)
}

// stream: a command loads it, into a directory that is emptied for it.
func (c *counter) stream(r *runner, v survey) error {
	c.Create, c.Fetch = 1, v.stored
	if _, err := r.commands(); err != nil {
		return err
	}
	there, err := fstree.Open(r.Target.Data, fstree.Options{})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for e, err := range there.Walk() {
		if err != nil && !fstree.Moving(err) {
			return errors.Join(err, there.Close())
		}
		if e.Path != fstree.Root {
			c.Remove++
		}
	}
	return there.Close()
}

// A counter is the judge of a preview.
type counter struct {
	Preview
	mu   sync.Mutex
	seen map[snapshot.Frame]struct{}
}

// seenMost bounds how many frames are remembered: neighbours share them, so a few would do.
const seenMost = 64 << 10

func (c *counter) fetch(f snapshot.Frame) {
	if _, known := c.seen[f]; known {
		return
	}
	if len(c.seen) == seenMost {
		clear(c.seen)
	}
	c.seen[f] = struct{}{}
	c.Fetch += f.Stored
}

func (c *counter) extra(string) {
	c.mu.Lock()
	c.Remove++
	c.mu.Unlock()
}

func (c *counter) missing(e *snapshot.Entry, m *snapshot.Manifest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Create++
	for e.Kind == snapshot.File {
		r, err := m.NextRun()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.fetch(r.Frame)
	}
	return nil
}

func (c *counter) both(p *pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.what == "" {
		c.Same++
	} else {
		c.Change++
	}
	for _, f := range p.wanted {
		c.fetch(f)
	}
}
