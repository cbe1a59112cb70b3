package load

import "github.com/interlock-run/interlock/warm/memcached"

const (
	page       = 1 << 20
	itemHeader = 48 // of memcached on 64 bits, before the chunk size that -n gives
	maxClasses = 63
)

// slabs computes what items take in a server's memory: whole chunks of a size class, in whole pages.
type slabs struct {
	chunks []int64 // sizes, ascending
	used   []int64 // chunks by class
	pages  int64
}

// newSlabs makes the table as the server does.
func newSlabs(s memcached.Settings) *slabs {
	t := &slabs{}
	largest := max(s.SlabChunkMax, 1)
	for size := itemHeader + s.ChunkSize; len(t.chunks) < maxClasses-1 && float64(size) < float64(largest)/s.GrowthFactor; {
		size = (size + 7) / 8 * 8
		t.chunks = append(t.chunks, size)
		size = int64(float64(size) * s.GrowthFactor)
	}
	t.chunks = append(t.chunks, largest)
	t.used = make([]int64, len(t.chunks))
	return t
}

// class is that of an item, and how many chunks it takes: large items are kept in several.
func (t *slabs) class(size int64) (class int, chunks int64) {
	for c, chunk := range t.chunks {
		if size <= chunk {
			return c, 1
		}
	}
	last := len(t.chunks) - 1
	return last, (size + t.chunks[last] - 1) / t.chunks[last]
}

// add puts n items in and gives the pages in use.
func (t *slabs) add(size, n int64) int64 {
	c, chunks := t.class(size)
	t.pages -= t.pagesOf(c)
	t.used[c] += n * chunks
	t.pages += t.pagesOf(c)
	return t.pages
}

func (t *slabs) pagesOf(c int) int64 {
	per := max(page/t.chunks[c], 1)
	return (t.used[c] + per - 1) / per
}
