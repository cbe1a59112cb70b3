package load

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// spare is the part of the memory that is left free: eviction begins before all is in use.
const spare = 0.10

// A piece is the first items of a part.
type piece struct {
	from       *Source
	band, part int
	level      int // of hotness among all sources: pieces of one level may be stored at the same time
	items      int64
	size       int64 // in the server
	sent       int64 // offset up to which it was sent, by connections and workers that are gone
}

func (p *piece) name() string     { return fmt.Sprintf("%s/%d/%d", p.from.Name, p.band, p.part) }
func (p *piece) held() *item.Part { return &p.from.Cache.Bands[p.band].Parts[p.part] }
func (p *piece) fetched() bool    { return p.from.Cache.Bands[p.band].Fetched }
func (p *piece) open(at int64) (*item.PartReader, error) {
	return p.from.Cache.Part(p.band, p.part, at)
}

// levels are all parts of all sources, each whole, the hottest band of all first.
func levels(sources []Source) (all []piece) {
	type band struct {
		from *Source
		at   int
		*item.Band
	}
	var bands []band
	for n := range sources {
		for b := range sources[n].Cache.Bands {
			bands = append(bands, band{&sources[n], b, &sources[n].Cache.Bands[b]})
		}
	}
	slices.SortStableFunc(bands, func(a, b band) int {
		switch {
		case a.from.Rank != b.from.Rank || a.from == b.from:
			return cmp.Or(cmp.Compare(a.from.Rank, b.from.Rank), cmp.Compare(a.at, b.at))
		case a.Fetched != b.Fetched && a.Fetched:
			return -1
		case a.Fetched != b.Fetched:
			return 1
		}
		return cmp.Compare(b.Access, a.Access)
	})
	for level, b := range bands {
		for n := range b.Parts {
			all = append(all, piece{from: b.from, band: b.at, part: n, level: level, items: b.Parts[n].Items})
		}
	}
	return all
}

// plan selects the hottest that fits, hottest first. free is in pages; below 0 everything is selected.
func plan(sources []Source, t *slabs, free int64, most Limit) (pieces []piece) {
	var items, size int64
	for _, p := range levels(sources) {
		p.items, p.size = fits(*p.held(), t, free, p.from.Share)
		p.items, p.size = most.cap(p.items, p.size, items, size)
		if p.items > 0 {
			pieces = append(pieces, p)
		}
		if items, size = items+p.items, size+p.size; p.items < p.held().Items {
			return pieces
		}
	}
	return pieces
}

// fits tells how many items of a part fit, if a share of each size is ours, and puts them in.
func fits(p item.Part, t *slabs, free int64, share float64) (items, size int64) {
	put := func(into *slabs, num int64) (items, size, pages int64) {
		for _, s := range slices.Sorted(maps.Keys(p.Sizes)) {
			n := p.Sizes[s] * num / 1000
			ours := int64(math.Ceil(float64(n) * share))
			pages = into.add(s, ours)
			items, size = items+n, size+ours*s
		}
		return items, size, pages
	}
	if free < 0 {
		items, size, _ = put(t, 1000)
		return items, size
	}
	low, high := int64(0), int64(1000)
	for low < high {
		mid := (low + high + 1) / 2
		trial := &slabs{chunks: t.chunks, used: slices.Clone(t.used), pages: t.pages}
		if _, _, pages := put(trial, mid); pages <= free {
			low = mid
		} else {
			high = mid - 1
		}
	}
	items, size, _ = put(t, low)
	return items, size
}

// cap cuts a piece to what a limit leaves.
func (l Limit) cap(items, size, had, hadSize int64) (int64, int64) {
	keep := func(most int64) {
		if most < items {
			size = size * max(most, 0) / max(items, 1)
			items = max(most, 0)
		}
	}
	if l.Items > 0 {
		keep(l.Items - had)
	}
	if l.Bytes > 0 && hadSize+size > l.Bytes {
		keep(items * max(l.Bytes-hadSize, 0) / max(size, 1))
	}
	return items, size
}

// free is how many pages of a server may be filled. One that takes all its memory at its start (-e, -L) has
// most of it in a pool.
func free(c *memcached.Conn, s memcached.Settings) (int64, error) {
	all, err := c.Stats("slabs")
	if err != nil {
		return 0, err
	}
	used, err := all.Number("total_malloced")
	if err != nil {
		return 0, fmt.Errorf("memcached %s: %w", c.Server(), err)
	}
	general, err := c.Stats("")
	if err != nil {
		return 0, err
	}
	pool, err := general.Number("slab_global_page_pool")
	if err != nil {
		return 0, fmt.Errorf("memcached %s: %w", c.Server(), err)
	}
	return max(int64(float64(s.MaxBytes/page)*(1-spare))-used/page+pool, 0), nil
}
