package ring

import (
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"

	"github.com/zeebo/xxh3"
)

// hash32 is a client's hash of a key.
type hash32 func(key []byte) uint32

// hashes by the names that libmemcached and twemproxy give them. Several see the bytes of a key as signed.
func hashes() map[string]hash32 {
	return map[string]hash32{
		"one_at_a_time": oneAtATime,
		"md5":           func(key []byte) uint32 { return md5Words(key)[0] },
		"crc32":         func(key []byte) uint32 { return crc32.ChecksumIEEE(key) >> 16 & 0x7fff },
		"crc32a":        crc32.ChecksumIEEE,
		"fnv1_32":       func(key []byte) uint32 { return fnv1(key, 2166136261, 16777619) },
		"fnv1a_32":      func(key []byte) uint32 { return fnv1a(key, 2166136261, 16777619) },
		"fnv1_64":       fnv164,
		// The 64-bit form is computed in 32 bits by both.
		"fnv1a_64": func(key []byte) uint32 { return fnv1a(key, 0x84222325, 0x000001b3) },
	}
}

func signed(b byte) uint32 { return uint32(int32(int8(b))) }

// oneAtATime is Jenkins's hash.
func oneAtATime(key []byte) (h uint32) {
	for _, b := range key {
		h += signed(b)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	return h + h<<15
}

// md5Words is the digest as four little-endian words.
func md5Words(text []byte) (words [4]uint32) {
	sum := md5.Sum(text)
	for w := range words {
		words[w] = binary.LittleEndian.Uint32(sum[4*w:])
	}
	return words
}

func fnv1(key []byte, h, prime uint32) uint32 {
	for _, b := range key {
		h = h*prime ^ signed(b)
	}
	return h
}

func fnv1a(key []byte, h, prime uint32) uint32 {
	for _, b := range key {
		h = (h ^ signed(b)) * prime
	}
	return h
}

func fnv164(key []byte) uint32 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range key {
		h = h*0x100000001b3 ^ uint64(int64(int8(b)))
	}
	return uint32(h)
}

const murmurPrime = 0xc6a4a7935bd1e995

// murmur64A is MurmurHash2 of 64 bits.
func murmur64A(key []byte, seed uint64) uint64 {
	mix := func(k uint64) uint64 {
		k *= murmurPrime
		return (k ^ k>>47) * murmurPrime
	}
	h := seed ^ uint64(len(key))*murmurPrime
	for ; len(key) >= 8; key = key[8:] {
		h = (h ^ mix(binary.LittleEndian.Uint64(key))) * murmurPrime
	}
	if len(key) > 0 {
		var rest [8]byte
		copy(rest[:], key)
		h = (h ^ binary.LittleEndian.Uint64(rest[:])) * murmurPrime
	}
	h = (h ^ h>>47) * murmurPrime
	return h ^ h>>47
}

func xxh(key []byte) uint64 { return xxh3.Hash(key) }
