package snapshot

import (
	"testing"
)

const memoryAtMost = 44 << 20

// All buffers of a writer, and all of a reader, stay below 44 MiB on any number of cores.
func TestMemoryIsBounded(t *testing.T) {
	for workers := 1; workers <= 256; workers++ {
		p, sum := newPools(workers, packFull), 0
		for _, one := range []*pool{p.batches, p.frames, p.outs, p.packs} {
			sum += cap(one.free) * one.size
		}
		if sum > memoryAtMost {
			t.Errorf("%d workers: buffers of %d bytes, want at most %d", workers, sum, memoryAtMost)
		}
	}
	if sum := flightsAtMost * (maxStored + maxFrame); sum > memoryAtMost {
		t.Errorf("buffers of %d bytes to read, want at most %d", sum, memoryAtMost)
	}
}
