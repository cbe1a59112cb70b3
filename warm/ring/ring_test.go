package ring_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/warm/ring"
)

// vectorKey is the key of a number in the files of vectors.
func vectorKey(i int) []byte {
	if i%5 == 4 {
		return fmt.Appendf(nil, "k\u00e9:%d", i)
	}
	return fmt.Appendf(nil, "key:%d", i)
}

type vector struct {
	Client    string
	Rule      ring.Rule
	Servers   []ring.Server
	Placement string
}

func vectors(t *testing.T) (all []vector) {
	t.Helper()
	for _, file := range []string{"testdata/vectors.json", "testdata/gomemcache.json"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var some []vector
		if err := json.Unmarshal(raw, &some); err != nil || len(some) == 0 {
			t.Fatalf("%s: %d vectors, %v", file, len(some), err)
		}
		all = append(all, some...)
	}
	return all
}

// Every key is where the real client has put it.
func TestRealClients(t *testing.T) {
	tried := map[ring.Rule]bool{}
	for _, v := range vectors(t) {
		r, err := ring.New(v.Rule, v.Servers)
		if err != nil {
			t.Fatal(err)
		}
		tried[v.Rule] = true
		wrong := 0
		for i, want := range v.Placement {
			if got := r.Node(vectorKey(i)); got != int(want-'0') {
				if wrong++; wrong == 1 {
					t.Errorf("%s %s %v: %q is on node %d, we say %d", v.Client, v.Rule, v.Servers, vectorKey(i), want-'0', got)
				}
			}
		}
		if wrong > 0 || len(v.Placement) != 1000 {
			t.Errorf("%s %s: %d keys of %d are elsewhere", v.Client, v.Rule, wrong, len(v.Placement))
		}
	}
	for _, rule := range ring.Rules() {
		// Those of mcrouter are tested below.
		if !tried[rule] && rule != ring.Ch3 && rule != ring.WeightedCh3 {
			t.Errorf("no client has confirmed %s", rule)
		}
	}
}

func servers(n int) (all []ring.Server) {
	for i := range n {
		all = append(all, ring.Server{Name: fmt.Sprintf("10.0.0.%d:11211", i+1)})
	}
	return all
}

func ringOf(t *testing.T, rule ring.Rule, n int) *ring.Ring {
	t.Helper()
	r, err := ring.New(rule, servers(n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The vectors of mcrouter's own test.
func TestCh3(t *testing.T) {
	for _, c := range []struct {
		key         string
		nodes, want int
	}{{"sample", 100, 97}, {"sample", 1, 0}, {"", 100, 72}, {"", 1, 0}} {
		if got := ringOf(t, ring.Ch3, c.nodes).Node([]byte(c.key)); got != c.want {
			t.Errorf("%q of %d nodes: %d, want %d", c.key, c.nodes, got, c.want)
		}
	}
	for _, c := range []struct {
		keys int
		want []int
	}{{1000, []int{307, 342, 351}}, {10_000, []int{995, 955, 1046, 968, 1032, 972, 1016, 1038, 1010, 968}}} {
		got, r := make([]int, len(c.want)), ringOf(t, ring.Ch3, len(c.want))
		for i := range c.keys {
			got[r.Node(fmt.Append(nil, i))]++
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d keys: %v, want %v", c.keys, got, c.want)
		}
	}
	var up, down []byte
	for i := range 256 {
		up, down = append(up, byte(i-128)), append(down, byte(127-i))
	}
	for _, c := range []struct {
		key         []byte
		nodes, want int
	}{{up, 99999, 31015}, {down, 99999, 67101}, {nil, 1 << 23, 6173600}, {[]byte("sample"), 1 << 23, 5167780}} {
		if got := ring.Ch3Node(c.key, c.nodes); got != c.want {
			t.Errorf("key of %d bytes, %d nodes: %d, want %d", len(c.key), c.nodes, got, c.want)
		}
	}
}

// The hash against a computation by memcached's own header; the proxy itself is among the real clients.
func TestJump(t *testing.T) {
	for _, c := range []struct {
		key         string
		nodes, want int
	}{{"foo", 4, 2}, {"foo", 7, 2}, {"k:1", 4, 1}, {"k:1", 7, 4}, {"user:42", 4, 1}, {"user:42", 7, 1}} {
		if got := ringOf(t, ring.Jump, c.nodes).Node([]byte(c.key)); got != c.want {
			t.Errorf("%q of %d nodes: %d, want %d", c.key, c.nodes, got, c.want)
		}
	}
}

// A node that joins at the end of the list takes its share from all, and nobody else gains.
func TestOnlyTheNewNodeGains(t *testing.T) {
	for _, rule := range []ring.Rule{ring.Ch3, ring.Jump, ring.KetamaWeighted} {
		three, four := ringOf(t, rule, 3), ringOf(t, rule, 4)
		moved, astray := 0, 0
		for i := range 20_000 {
			a, b := three.Node(vectorKey(i)), four.Node(vectorKey(i))
			if a != b {
				moved++
				if b != 3 {
					astray++
				}
			}
		}
		if moved < 4000 || moved > 6500 || astray > 0 && rule != ring.KetamaWeighted {
			t.Errorf("%s: %d of 20,000 keys moved, %d to an old node", rule, moved, astray)
		}
	}
}

// byNode are the keys of a placement under the nodes' names.
func byNode(servers []ring.Server, placement string, where func(i, node int) int) map[string][][]byte {
	held := map[string][][]byte{}
	for i, digit := range placement {
		name := servers[where(i, int(digit-'0'))].Name
		held[name] = append(held[name], vectorKey(i))
	}
	return held
}

// pick chooses among all rules over one list.
func pick(t *testing.T, servers []ring.Server, held map[string][][]byte) (ring.Fit, error) {
	t.Helper()
	fits, err := ring.Compare(ring.Rules(), [][]ring.Server{servers}, held)
	if err != nil {
		t.Fatal(err)
	}
	return ring.Pick(fits, servers, held)
}

// Each real placement is recognised, or another rule that places alike; a mixture of two is not.
func TestPick(t *testing.T) {
	for _, v := range vectors(t) {
		held := byNode(v.Servers, v.Placement, func(_, node int) int { return node })
		got, err := pick(t, v.Servers, held)
		if len(held) == 1 { // crc32 has 15 bits: on a circle all keys come before the first point
			if !errors.Is(err, ring.ErrNoRule) {
				t.Errorf("%s %s: all keys on one node tell %q %v", v.Client, v.Rule, got.Rule, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", v.Client, v.Rule, err)
			continue
		}
		a, _ := ring.New(v.Rule, v.Servers)
		for i := range 1000 {
			if a.Node(vectorKey(i)) != got.Ring.Node(vectorKey(i)) {
				t.Errorf("%s taken for %s", v.Rule, got.Rule)
				break
			}
		}
		mixed := byNode(v.Servers, v.Placement, func(i, node int) int {
			if i < 20 { // two in a hundred elsewhere
				node++
			}
			return node % 4
		})
		if got, err := pick(t, v.Servers, mixed); !errors.Is(err, ring.ErrNoRule) {
			t.Errorf("%s with 2 %% elsewhere: %q %v, want ErrNoRule", v.Rule, got.Rule, err)
		}
	}
}

// Few keys, or those of one node, tell no rule from another; the rule that was named is told from a wrong one by
// one node too.
func TestPickNeedsEvidence(t *testing.T) {
	list := servers(3)
	few := map[string][][]byte{list[0].Name: {[]byte("a")}, list[1].Name: {[]byte("b")}}
	if got, err := pick(t, list, few); !errors.Is(err, ring.ErrNoRule) {
		t.Errorf("two keys: %q %v", got.Rule, err)
	}
	if _, err := ring.Pick(nil, servers(1), few); !errors.Is(err, ring.ErrServers) {
		t.Errorf("no list: %v", err)
	}
	first := map[string][][]byte{}
	for i := range 3000 {
		if key := vectorKey(i); ringOf(t, ring.Ch3, 3).Node(key) == 0 {
			first[list[0].Name] = append(first[list[0].Name], key)
		}
	}
	if got, err := pick(t, list, first); !errors.Is(err, ring.ErrNoRule) {
		t.Errorf("one node: %q %v", got.Rule, err)
	}
	for rule, want := range map[ring.Rule]error{ring.Ch3: nil, ring.Jump: ring.ErrNoRule} {
		fits, err := ring.Compare([]ring.Rule{rule}, [][]ring.Server{list}, first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Pick(fits, list, first); !errors.Is(err, want) {
			t.Errorf("%s by its name: %v, want %v", rule, err, want)
		}
	}
}

// Two rules that explain all and differ for a key that somebody holds are no choice.
func TestAmbiguous(t *testing.T) {
	list, held := servers(2), map[string][][]byte{}
	ch3, jump := ringOf(t, ring.Ch3, 2), ringOf(t, ring.Jump, 2)
	differing := 0
	for i := 0; i < 1000 || differing < 1; i++ {
		key := vectorKey(i)
		if node := ch3.Node(key); node == jump.Node(key) {
			held[list[node].Name] = append(held[list[node].Name], key)
		} else if differing == 0 {
			differing++
			held[list[node].Name] = append(held[list[node].Name], key)
		}
	}
	if got, err := pick(t, list, held); !errors.Is(err, ring.ErrAmbiguous) {
		t.Errorf("%q %v, want ErrAmbiguous", got.Rule, err)
	}
}

// A list that explains everything is none, and the same list is tried once.
func TestLists(t *testing.T) {
	nodes := func(names ...string) (list []ring.Server) {
		for _, n := range names {
			list = append(list, ring.Server{Name: n})
		}
		return list
	}
	for _, c := range []struct {
		now  []ring.Server
		held []string
		want [][]ring.Server
	}{
		{nodes("a", "b"), []string{"a", "b"}, [][]ring.Server{nodes("a", "b")}},
		{nodes("a", "b", "c"), []string{"b", "a"}, [][]ring.Server{nodes("a", "b", "c"), nodes("a", "b")}},
		{nodes("a", "b"), []string{"a", "b", "c"}, [][]ring.Server{nodes("a", "b"), nodes("a", "b", "c")}},
		{nodes("a", "b"), []string{"a"}, [][]ring.Server{nodes("a", "b")}},
		{nodes("a", "b", "d"), []string{"a", "b", "c"}, [][]ring.Server{nodes("a", "b", "d"), nodes("a", "b"), nodes("a", "b", "d", "c"), nodes("a", "b", "c")}},
		{nodes("a"), []string{"a", ""}, nil},
	} {
		if got := ring.Lists(c.now, c.held); !slices.EqualFunc(got, c.want, slices.Equal[[]ring.Server]) {
			t.Errorf("%v with keys of %v: %v, want %v", c.now, c.held, got, c.want)
		}
	}
}

// The place of a node that is not in the list is found by its keys, or not at all.
func TestPlace(t *testing.T) {
	r := ringOf(t, ring.Ch3, 3)
	var second, all [][]byte
	for i := range 2000 {
		if all = append(all, vectorKey(i)); r.Node(vectorKey(i)) == 1 {
			second = append(second, vectorKey(i))
		}
	}
	for want, keys := range map[int][][]byte{1: second, -1: all} {
		if got := r.Place(keys); got != want {
			t.Errorf("%d keys: place %d, want %d", len(keys), got, want)
		}
	}
	if got := r.Place(second[:50]); got != -1 {
		t.Errorf("50 keys tell place %d", got)
	}
}

func TestRefusals(t *testing.T) {
	for _, rule := range []ring.Rule{"", "ketama", "libmemcached-modula", "libmemcached-modula/", "libmemcached-modula/crc32a", "x/md5"} {
		if _, err := ring.New(rule, servers(3)); !errors.Is(err, ring.ErrRule) {
			t.Errorf("rule %q: %v, want ErrRule", rule, err)
		}
	}
	for rule, weight := range map[ring.Rule]float64{ring.WeightedCh3: 2, ring.KetamaWeighted: 0.5} {
		if _, err := ring.New(rule, []ring.Server{{Name: "a", Weight: weight}, {Name: "b"}}); !errors.Is(err, ring.ErrWeights) {
			t.Errorf("%s with weight %g: %v, want ErrWeights", rule, weight, err)
		}
	}
	for name, list := range map[string][]ring.Server{"none": nil, "twice": {{Name: "a"}, {Name: "a"}}, "no name": {{}},
		"weight": {{Name: "a", Weight: -1}}} {
		if _, err := ring.New(ring.Ch3, list); !errors.Is(err, ring.ErrServers) {
			t.Errorf("%s: %v, want ErrServers", name, err)
		}
	}
}
