package snapshot

import (
	"testing"

	"filippo.io/age"
)

const memoryAtMost = 44 << 20

// All buffers of a writer, and all of a reader, stay below 44 MiB on any number of cores.
func TestMemoryIsBounded(t *testing.T) {
	for workers := 1; workers <= 256; workers++ {
		p, sum := newPools(workers, (*seal)(nil).packSize()), 0
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

// Encrypting adds chunks and headers, 3 MiB at most.
func TestMemoryOfEncryptionIsBounded(t *testing.T) {
	var texts []string
	for range recipientsAtMost {
		key, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, key.Recipient().String())
	}
	s, err := newSeal(texts)
	if err != nil {
		t.Fatal(err)
	}
	if more := 3 * (s.packSize() - packFull + 2*sealChunk); more > 3<<20 {
		t.Errorf("%d bytes more to write, want at most 3 MiB", more)
	}
	if more := flightsAtMost * (2*sealChunk + sealTag); more > 3<<20 {
		t.Errorf("%d bytes more to read, want at most 3 MiB", more)
	}
}
