package ring

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// What callers branch on.
var (
	ErrRule      = errors.New("no such ring")
	ErrServers   = errors.New("no list of servers that a ring can be made of")
	ErrNoRule    = errors.New("no ring fits what the nodes hold")
	ErrAmbiguous = errors.New("more than one ring fits what the nodes hold")
)

// A Server is one node as it stands in the client's own list: that very string is hashed.
type Server struct {
	Name   string `json:"name"`   // host:port, mostly
	Weight int    `json:"weight"` // 0 is 1
}

// A Rule names how a client finds a node; Rules lists them.
type Rule string

// Rules without a choice of hash.
const (
	KetamaWeighted Rule = "libmemcached-ketama-weighted" // also the one of equal weights
	Ch3            Rule = "mcrouter-ch3"
	Jump           Rule = "memcached-proxy" // jump hash over XXH3, its default
	GoMemcache     Rule = "gomemcache"
)

// Families of rules, each with a hash after the slash.
const (
	modulaRule     = "libmemcached-modula/"
	consistentRule = "libmemcached-consistent/"
	twemKetama     = "twemproxy-ketama/"
	twemModula     = "twemproxy-modula/"
)

// Rules are all that there are, sorted. libmemcached calls one_at_a_time default and crc32 crc.
func Rules() []Rule {
	all := []Rule{KetamaWeighted, Ch3, Jump, GoMemcache}
	for h := range hashes() {
		all = append(all, Rule(twemKetama+h), Rule(twemModula+h))
		switch h {
		case "one_at_a_time":
			h = "default"
		case "crc32":
			h = "crc"
		case "crc32a":
			continue
		}
		all = append(all, Rule(modulaRule+h), Rule(consistentRule+h))
	}
	slices.Sort(all)
	return all
}

// A Ring is a rule over a list of servers.
type Ring struct {
	rule Rule
	node func(key []byte) int
}

// Rule is what it was made of.
func (r *Ring) Rule() Rule { return r.rule }

// Node is the place in the list of the server that a key belongs to. It may be called by many goroutines.
func (r *Ring) Node(key []byte) int { return r.node(key) }

// New makes a ring.
func New(rule Rule, servers []Server) (*Ring, error) {
	servers, err := checked(servers)
	if err != nil {
		return nil, err
	}
	n := len(servers)
	r := &Ring{rule: rule}
	switch rule {
	case KetamaWeighted:
		r.node = ketama(servers, hashes()["md5"])
	case Ch3:
		r.node = func(key []byte) int { return ch3(key, n) }
	case Jump:
		r.node = func(key []byte) int { return jump(xxh(key), n) }
	case GoMemcache:
		r.node = modula(servers, hashes()["crc32a"], false)
	default:
		r.node = withHash(rule, servers)
	}
	if r.node == nil {
		return nil, fmt.Errorf("%w: %q: expected one of %v", ErrRule, rule, Rules())
	}
	return r, nil
}

// withHash makes a ring of a family; nil where there is none of that name.
func withHash(rule Rule, servers []Server) func([]byte) int {
	family, name, _ := strings.Cut(string(rule), "/")
	if !slices.Contains(Rules(), rule) {
		return nil
	}
	switch name {
	case "default":
		name = "one_at_a_time"
	case "crc":
		name = "crc32"
	}
	h := hashes()[name]
	switch family + "/" {
	case modulaRule:
		return modula(servers, h, false)
	case consistentRule:
		return consistent(servers, h)
	case twemKetama:
		return ketama(servers, h)
	case twemModula:
		return modula(servers, h, true)
	}
	return nil
}

// checked is the list with weights, once it can be one.
func checked(servers []Server) ([]Server, error) {
	const most, heaviest = 4096, 10_000
	if len(servers) == 0 || len(servers) > most {
		return nil, fmt.Errorf("%w: %d servers, expected 1 to %d", ErrServers, len(servers), most)
	}
	list, seen := slices.Clone(servers), map[string]bool{}
	for n, s := range list {
		if s.Weight == 0 {
			list[n].Weight = 1
		}
		if s.Name == "" || seen[s.Name] || s.Weight < 0 || s.Weight > heaviest {
			return nil, fmt.Errorf("%w: server %d, %q of weight %d: expected a name of its own and a weight of 1 to %d",
				ErrServers, n+1, s.Name, s.Weight, heaviest)
		}
		seen[s.Name] = true
	}
	return list, nil
}

// Verify is how large a part of the keys that a node holds the ring puts there: near 1 for the right one, near
// its share for any other.
func Verify(r *Ring, node int, keys iter.Seq[[]byte]) (fraction float64, total int) {
	right := 0
	for key := range keys {
		total++
		if r.Node(key) == node {
			right++
		}
	}
	if total == 0 {
		return 0, 0
	}
	return float64(right) / float64(total), total
}

const (
	// Enough is the fraction below which no ring is believed. What is missing are keys from before a change of
	// the list.
	Enough = 0.99
	// least keys in all that a choice is based on.
	least = 100
)

// Auto finds the rule that puts the keys where the nodes hold them: held has some keys of nodes, by their place
// in the list. It takes two nodes at least: with one every rule fits.
func Auto(servers []Server, held map[int][][]byte) (Rule, error) {
	var fit []*Ring
	best, bestRule, total := 0.0, Rule(""), 0
	for _, rule := range Rules() {
		r, err := New(rule, servers)
		if err != nil {
			return "", err
		}
		var fraction float64
		fraction, total = verifyAll(r, held)
		if fraction > best {
			best, bestRule = fraction, rule
		}
		if fraction >= Enough {
			fit = append(fit, r)
		}
	}
	switch {
	case len(servers) < 2 || len(held) < 2 || total < least:
		return "", fmt.Errorf("%w: %d keys of %d nodes tell nothing: expected %d keys or more, of two nodes or more", ErrNoRule, total, len(held), least)
	case len(fit) == 0:
		return "", fmt.Errorf("%w: the best, %s, fits %.1f %% of %d keys: expected %.0f %%", ErrNoRule, bestRule, best*100, total, Enough*100)
	}
	for _, r := range fit[1:] {
		if key := differ(fit[0], r, held); key != nil {
			return "", fmt.Errorf("%w: %s and %s, which differ in %.100q: name one", ErrAmbiguous, fit[0].rule, r.rule, key)
		}
	}
	return fit[0].rule, nil
}

func verifyAll(r *Ring, held map[int][][]byte) (fraction float64, total int) {
	right := 0.0
	for _, node := range slices.Sorted(maps.Keys(held)) {
		f, n := Verify(r, node, slices.Values(held[node]))
		right, total = right+f*float64(n), total+n
	}
	return right / float64(max(total, 1)), total
}

// differ gives a key that two rings put on different nodes.
func differ(a, b *Ring, held map[int][][]byte) []byte {
	for _, keys := range held {
		for _, key := range keys {
			if a.Node(key) != b.Node(key) {
				return key
			}
		}
	}
	return nil
}
