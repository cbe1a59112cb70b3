package ring

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// What callers branch on.
var (
	ErrRule      = errors.New("no such ring")
	ErrServers   = errors.New("no list of servers that a ring can be made of")
	ErrWeights   = fmt.Errorf("%w: weights that this rule does not have", ErrServers)
	ErrNoRule    = errors.New("no ring fits what the nodes hold")
	ErrAmbiguous = errors.New("more than one ring fits what the nodes hold")
)

// A Server is one node as it stands in the client's own list: that very string is hashed.
type Server struct {
	Name   string  `json:"name"`   // host:port, mostly
	Weight float64 `json:"weight"` // 0 is 1
}

// A Rule names how a client finds a node; Rules lists them.
type Rule string

// Rules without a choice of hash.
const (
	KetamaWeighted Rule = "libmemcached-ketama-weighted" // also the one of equal weights
	Ch3            Rule = "mcrouter-ch3"
	WeightedCh3    Rule = "mcrouter-weighted-ch3"
	Jump           Rule = "memcached-proxy" // jump hash over XXH3, its default
	GoMemcache     Rule = "gomemcache"
)

// Families of rules, each with a hash after the slash; that of the proxy's ring_hash with its omode.
const (
	modulaRule     = "libmemcached-modula/"
	consistentRule = "libmemcached-consistent/"
	twemKetama     = "twemproxy-ketama/"
	twemModula     = "twemproxy-modula/"
	proxyRing      = "memcached-proxy-ring/"      // keys by its own hash, MD5
	proxyRingXXH   = "memcached-proxy-ring-xxh3/" // keys by the hash of every pool that names none
)

// Rules are all that there are, sorted. libmemcached calls one_at_a_time default and crc32 crc.
func Rules() []Rule {
	all := []Rule{KetamaWeighted, Ch3, WeightedCh3, Jump, GoMemcache}
	for omode := range proxyNames() {
		all = append(all, Rule(proxyRing+omode), Rule(proxyRingXXH+omode))
	}
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
	node func(key []byte) int
}

// Node is the place in the list of the server that a key belongs to. It may be called by many goroutines.
func (r *Ring) Node(key []byte) int { return r.node(key) }

// New makes a ring. ErrWeights: the rule has no weights, or others.
func New(rule Rule, servers []Server) (*Ring, error) {
	servers, err := checked(servers)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(Rules(), rule) {
		return nil, fmt.Errorf("%w: %q: expected one of %v", ErrRule, rule, Rules())
	}
	if err := weighable(rule, servers); err != nil {
		return nil, err
	}
	n := len(servers)
	switch rule {
	case KetamaWeighted:
		return &Ring{ketama(servers, hashes()["md5"])}, nil
	case Ch3:
		return &Ring{func(key []byte) int { return ch3(key, n) }}, nil
	case WeightedCh3:
		return &Ring{weightedCh3(servers)}, nil
	case Jump:
		return &Ring{func(key []byte) int { return jump(xxh(key), n) }}, nil
	case GoMemcache:
		return &Ring{modula(servers, hashes()["crc32a"], false)}, nil
	}
	return &Ring{ofFamily(rule, servers)}, nil
}

// weighable refuses weights that a client of this rule cannot be told. One that ignores them takes any.
func weighable(rule Rule, servers []Server) error {
	for _, s := range servers {
		switch {
		case rule == WeightedCh3 && s.Weight > 1:
			return fmt.Errorf("%w: %s: %s has weight %g, expected one up to 1", ErrWeights, rule, s.Name, s.Weight)
		case rule != WeightedCh3 && s.Weight != math.Trunc(s.Weight):
			return fmt.Errorf("%w: %s: %s has weight %g, expected a whole number", ErrWeights, rule, s.Name, s.Weight)
		}
	}
	return nil
}

// ofFamily makes a ring of a family.
func ofFamily(rule Rule, servers []Server) func([]byte) int {
	family, name, _ := strings.Cut(string(rule), "/")
	hash := name
	switch name {
	case "default":
		hash = "one_at_a_time"
	case "crc":
		hash = "crc32"
	}
	h := hashes()[hash]
	switch family + "/" {
	case modulaRule:
		return modula(servers, h, false)
	case consistentRule:
		return consistent(servers, h)
	case twemKetama:
		return ketama(servers, h)
	case proxyRing:
		return proxy(servers, proxyNames()[name], hashes()["md5"])
	case proxyRingXXH:
		return proxy(servers, proxyNames()[name], func(key []byte) uint32 { return uint32(xxh(key)) })
	}
	return modula(servers, h, true)
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
		if s.Name == "" || seen[s.Name] || !(s.Weight >= 0 && s.Weight <= heaviest) {
			return nil, fmt.Errorf("%w: server %d, %q of weight %g: expected a name of its own and a weight of up to %d",
				ErrServers, n+1, s.Name, s.Weight, heaviest)
		}
		seen[s.Name] = true
	}
	return list, nil
}
