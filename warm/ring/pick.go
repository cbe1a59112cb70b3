package ring

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// points is a circle: a key belongs to the first point at or after its hash.
type points struct {
	at   []point
	hash hash32
}

type point struct {
	value uint32
	node  int
}

func (p *points) add(value uint32, node int) { p.at = append(p.at, point{value, node}) }

func (p *points) sort() *points {
	slices.SortStableFunc(p.at, func(a, b point) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	return p
}

func (p *points) node(key []byte) int {
	h := p.hash(key)
	i, _ := slices.BinarySearchFunc(p.at, h, func(a point, h uint32) int {
		if a.value < h {
			return -1
		}
		return 1
	})
	if i == len(p.at) {
		i = 0
	}
	return p.at[i].node
}

// short is the server as both clients hash it: without the port that everybody has.
func short(name string) string { return strings.TrimSuffix(name, ":11211") }

// consistent is libmemcached's ring without weights: 100 points a server, by the hash of the keys.
func consistent(servers []Server, h hash32) func([]byte) int {
	p := &points{hash: h}
	for n, s := range servers {
		for i := range 100 {
			p.add(h(fmt.Appendf(nil, "%s-%d", short(s.Name), i)), n)
		}
	}
	return p.sort().node
}

// ketama is the ring of 160 points a server on average, shared out by weight, always by MD5; the keys are
// hashed by h.
func ketama(servers []Server, h hash32) func([]byte) int {
	total := 0.0
	for _, s := range servers {
		total += s.Weight
	}
	p := &points{hash: h}
	for n, s := range servers {
		// In the clients' own precision: a point more or less is another ring.
		part := float32(s.Weight) / float32(total)
		groups := int(math.Floor(float64(part * 160 / 4 * float32(len(servers)))))
		for i := range groups {
			for _, word := range md5Words(fmt.Appendf(nil, "%s-%d", short(s.Name), i)) {
				p.add(word, n)
			}
		}
	}
	return p.sort().node
}

// proxyNames are how the proxy's ring_hash names a server, by its omode. Its default one is not among them:
// that has no points in the versions at hand.
func proxyNames() map[string]func(name string) string {
	return map[string]func(string) string{
		"ketama":    func(name string) string { return name },
		"twemproxy": short,
		"evcache": func(name string) string {
			host, _, _ := strings.Cut(name, ":")
			return host + "/" + name
		},
	}
}

// proxy is the ring_hash of memcached's proxy: 160 points a server by MD5, without weights.
func proxy(servers []Server, named func(string) string, h hash32) func([]byte) int {
	p := &points{hash: h}
	for n, s := range servers {
		for i := range 40 {
			for _, word := range md5Words(fmt.Appendf(nil, "%s-%d", named(s.Name), i)) {
				p.add(word, n)
			}
		}
	}
	return p.sort().node
}

// modula takes the remainder; weighted, a server stands as often in the list as its weight says.
func modula(servers []Server, h hash32, weighted bool) func([]byte) int {
	var list []int
	for n, s := range servers {
		times := 1
		if weighted {
			times = int(s.Weight)
		}
		for range times {
			list = append(list, n)
		}
	}
	return func(key []byte) int { return list[h(key)%uint32(len(list))] }
}

// jump is the consistent hash without a table: the newest node gains, nobody else does.
func jump(h uint64, nodes int) int {
	b, j := int64(-1), int64(0)
	for j < int64(nodes) {
		b = j
		h = h*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(int64(1)<<31) / float64(h>>33+1)))
	}
	return int(b)
}

const (
	ch3Seed  = 4193360111
	ch3Tries = 32
	ch3Step  = 23 // bits between two that are looked at
	ch3Most  = 1 << ch3Step
)

// ch3 walks down a tree of bits that come from hashing the key again and again.
func ch3(key []byte, nodes int) int {
	if nodes <= 1 {
		return 0
	}
	stream := bitStream{words: make([]uint64, 0, 16), key: key}
	depth := bits.Len(uint(nodes - 1))
	at := depth
	for range ch3Tries {
		for ; stream.bit(at) == 0; at = depth {
			if depth--; depth == 0 {
				return 0
			}
		}
		at += ch3Step
		n := 1
		for range depth - 1 {
			n = n<<1 | stream.bit(at)
			at += ch3Step
		}
		if n < nodes {
			return n
		}
	}
	return 0
}

const (
	ch3WeightTries = 32
	ch3WeightSeed  = 0xface2014
)

// weightedCh3 asks again, with another digit behind the key, where a node has its weight's share already.
func weightedCh3(servers []Server) func([]byte) int {
	most := make([]uint64, len(servers)) // of a hash of 32 bits
	for n, s := range servers {
		most[n] = uint64(s.Weight * math.MaxUint32)
	}
	return func(key []byte) int { return rejecting(key, most) }
}

func rejecting(key []byte, most []uint64) (node int) {
	for try, salted := 0, key; try < ch3WeightTries; try++ {
		node = ch3(salted, len(most))
		if uint64(spooky32(salted, ch3WeightSeed)) < most[node] {
			return node
		}
		salted = slices.Clone(key)
		for salt := try; ; salt /= 10 { // the digits backwards
			salted = append(salted, '0'+byte(salt%10))
			if salt < 10 {
				break
			}
		}
	}
	return node
}

type bitStream struct {
	key   []byte
	words []uint64
}

func (s *bitStream) bit(n int) int {
	for len(s.words) <= n/64 {
		if len(s.words) == 0 {
			s.words = append(s.words, murmur64A(s.key, ch3Seed))
			continue
		}
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], s.words[len(s.words)-1])
		s.words = append(s.words, murmur64A(last[:], ch3Seed))
	}
	return int(s.words[n/64] >> (n % 64) & 1)
}
