package load

import (
	"context"
	"fmt"
	"maps"

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
	if l.server, err = probe.State(); err != nil {
		return nil, err
	}
	pages := int64(-1)
	if !l.All {
		if pages, err = free(probe, l.settings); err != nil {
			return nil, err
		}
	}
	if err := l.resume(); err != nil {
		return nil, err
	}
	pieces = plan(l.Cache, newSlabs(l.settings), pages+l.loaded(), l.Share, l.Limit)
	var items int64
	for _, p := range pieces {
		items += p.items
	}
	l.selected.Store(items)
	l.settled.Store(l.done())
	return pieces, nil
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
	for b, band := range l.Cache.Bands {
		for n, part := range band.Parts {
			done := l.progress.Parts[partName(b, n)].Items
			for size, count := range part.Sizes {
				pages = t.add(size, int64(float64(count*done/max(part.Items, 1))*l.Share))
			}
		}
	}
	return pages
}

// resume takes over the progress of an earlier load, if it was of this cache into this run of the server.
func (l *Load) resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := l.server.Time - l.server.Uptime
	l.progress = Progress{Cache: l.Cache.ID, PID: l.server.PID, Start: start, Parts: map[string]Mark{}}
	from := l.From
	switch {
	case from == nil:
		return nil
	case from.Cache != l.Cache.ID:
		return fmt.Errorf("%w: of dump %.40q, expected %s", ErrProgress, from.Cache, l.Cache.ID)
	case from.PID != l.server.PID || from.Start < start-2 || from.Start > start+2:
		l.Note("the server is not the one that was loaded before: it is loaded from the start")
		return nil
	}
	l.progress.Parts = maps.Clone(from.Parts)
	if l.progress.Parts == nil {
		l.progress.Parts = map[string]Mark{}
	}
	return nil
}
