package ring

import (
	"encoding/binary"
	"math/bits"
)

// SpookyHash version 2 of Bob Jenkins, in 32 bits: mcrouter's weighted Ch3 compares it with a node's weight.
const (
	spookyFill  = 0xdeadbeefdeadbeef
	spookyWords = 12
	spookyBlock = 8 * spookyWords
)

func spooky32(key []byte, seed uint32) uint32 {
	if len(key) < 2*spookyBlock {
		return uint32(spookyShort(key, uint64(seed)))
	}
	return uint32(spookyLong(key, uint64(seed)))
}

func spookyShort(key []byte, seed uint64) uint64 {
	h := [4]uint64{seed, seed, spookyFill, spookyFill}
	le, length := binary.LittleEndian, uint64(len(key))
	for ; len(key) >= 32; key = key[32:] {
		h[2], h[3] = h[2]+le.Uint64(key), h[3]+le.Uint64(key[8:])
		spookyMix(&h)
		h[0], h[1] = h[0]+le.Uint64(key[16:]), h[1]+le.Uint64(key[24:])
	}
	if len(key) >= 16 {
		h[2], h[3] = h[2]+le.Uint64(key), h[3]+le.Uint64(key[8:])
		spookyMix(&h)
		key = key[16:]
	}
	h[3] += length << 56
	if len(key) == 0 {
		h[2], h[3] = h[2]+spookyFill, h[3]+spookyFill
	} else {
		var rest [16]byte
		copy(rest[:], key)
		h[2] += le.Uint64(rest[:])
		h[3] += le.Uint64(rest[8:])
	}
	return spookyShortEnd(h)
}

// spookyMix turns and crosses four words, twelve times.
func spookyMix(h *[4]uint64) {
	for step, turn := range [12]int{50, 52, 30, 41, 54, 48, 38, 37, 62, 34, 5, 36} {
		at, next, far := (step+2)%4, (step+3)%4, step%4
		h[at] = bits.RotateLeft64(h[at], turn) + h[next]
		h[far] ^= h[at]
	}
}

func spookyShortEnd(h [4]uint64) uint64 {
	for step, turn := range [11]int{15, 52, 26, 51, 28, 9, 47, 54, 32, 25, 63} {
		at, before := (step+3)%4, (step+2)%4
		h[at] ^= h[before]
		h[before] = bits.RotateLeft64(h[before], turn)
		h[at] += h[before]
	}
	return h[0]
}

func spookyLong(key []byte, seed uint64) uint64 {
	var h [spookyWords]uint64
	for n := range h {
		h[n] = [3]uint64{seed, seed, spookyFill}[n%3]
	}
	for ; len(key) >= spookyBlock; key = key[spookyBlock:] {
		spookyBlockMix(&h, spookyRead(key))
	}
	var rest [spookyBlock]byte
	copy(rest[:], key)
	rest[spookyBlock-1] = byte(len(key))
	block := spookyRead(rest[:])
	for n := range h {
		h[n] += block[n]
	}
	for range 3 {
		spookyPart(&h)
	}
	return h[0]
}

func spookyRead(from []byte) (block [spookyWords]uint64) {
	for n := range block {
		block[n] = binary.LittleEndian.Uint64(from[8*n:])
	}
	return block
}

func spookyBlockMix(h *[spookyWords]uint64, block [spookyWords]uint64) {
	for n, turn := range [spookyWords]int{11, 32, 43, 31, 17, 28, 39, 57, 55, 54, 22, 46} {
		h[n] += block[n]
		h[(n+2)%spookyWords] ^= h[(n+10)%spookyWords]
		h[(n+11)%spookyWords] ^= h[n]
		h[n] = bits.RotateLeft64(h[n], turn)
		h[(n+11)%spookyWords] += h[(n+1)%spookyWords]
	}
}

func spookyPart(h *[spookyWords]uint64) {
	for n, turn := range [spookyWords]int{44, 15, 34, 21, 38, 33, 10, 13, 38, 53, 42, 54} {
		last, next, far := (n+11)%spookyWords, (n+1)%spookyWords, (n+2)%spookyWords
		h[last] += h[next]
		h[far] ^= h[last]
		h[next] = bits.RotateLeft64(h[next], turn)
	}
}
