package load

import (
	"context"
	"fmt"

	"github.com/interlock-run/interlock/warm/memcached"
)

// prepare learns what the server is, and selects.
func (l *Load) prepare(ctx context.Context, probe *memcached.Conn) (pieces []piece, err error) {
	if v := probe.Version(); v.Before(1, 6, 10) {
		return nil, fmt.Errorf("memcached %s: %w: %s has no meta commands in their present form: expected 1.6.10 or later", l.Server, ErrVersion, v)
	}
	if l.settings, err = probe.Settings(); err != nil {
		return nil, err
	}
	if l.clock, err = probe.Clock(ctx); err != nil {
		return nil, err
	}
	now, err := probe.State()
	if err != nil {
		return nil, err
	}
	if l.server = now; l.Fresh && l.InUse {
		l.server.Deletes, l.server.Flushes = 0, 0
	}
	pages := int64(-1)
	if !l.All {
		if pages, err = free(probe, l.settings); err != nil {
			return nil, err
		}
	}
	l.resume()
	if err := l.reorder(); err != nil {
		return nil, err
	}
	pieces = plan(l.Sources, newSlabs(l.settings), pages+l.loaded(), l.Limit)
	var items, resumed int64
	for _, p := range pieces {
		items, resumed = items+p.items, resumed+min(p.items, l.mark(p.name()).Items) // less may be selected than before
	}
	l.selected.Store(items)
	l.resumed = resumed
	l.settled.Store(l.resumed)
	return pieces, l.judge(now)
}

// reorder keeps coldest-first to servers that hold nothing but what an earlier load has stored in that order. One that
// was started for this load gets the other order; of another its owner shall know.
func (l *Load) reorder() error {
	if l.Order != ColdestFirst || l.server.Items == 0 || l.done() > 0 {
		return nil
	}
	if !l.Fresh {
		return fmt.Errorf("memcached %s: order %s: %w: it holds %d items already: expected %s", l.Server, l.Order, ErrInUse, l.server.Items, HottestFirst)
	}
	l.Note(fmt.Sprintf("the server holds %d items already: it is loaded %s", l.server.Items, HottestFirst))
	l.Order = HottestFirst
	return nil
}

// done is how many items an earlier load has dealt with.
func (l *Load) done() (items int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.progress.Parts {
		items += m.Items
	}
	return items
}

// loaded is how many pages are in use by what an earlier load has stored: it is part of the selection.
func (l *Load) loaded() (pages int64) {
	if l.All {
		return 0
	}
	t := newSlabs(l.settings)
	for _, p := range levels(l.Sources) {
		done := l.progress.Parts[p.name()].Items
		part := p.held()
		for size, count := range part.Sizes {
			pages = t.add(size, int64(float64(count*done/max(part.Items, 1))*p.from.Share))
		}
	}
	return pages
}

// resume takes over the progress of an earlier load, if it was into this run of the server, and the content is
// still there. Of other dumps it counts for nothing.
func (l *Load) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress = Progress{Server: l.server, Parts: map[string]Mark{}}
	from := l.From
	if from == nil {
		return
	}
	if !l.server.Continues(from.Server) || l.server.Flushes != from.Server.Flushes {
		l.Note("the server is not the one that was loaded before, or was emptied since: it is loaded from the start")
		return
	}
	l.server.Deletes, l.server.Evictions = from.Server.Deletes, from.Server.Evictions // what was since counts
	l.progress.Server = l.server
	for _, p := range levels(l.Sources) {
		if m, ok := from.Parts[p.name()]; ok && m.Items > 0 && m.Items <= p.held().Items && m.Offset > 0 && m.Offset <= p.held().Size {
			l.progress.Parts[p.name()] = m
		}
	}
}
