package ring

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

const (
	// Enough is the fraction below which no ring is believed. What is missing are keys from before a change of
	// the list.
	Enough = 0.99
	// least keys in all that a choice is based on.
	least = 100
)

// A Fit is how well one rule over one list explains what the nodes hold.
type Fit struct {
	Rule     Rule     `json:"rule"`
	Nodes    []string `json:"nodes"`    // the list
	Fraction float64  `json:"fraction"` // of the keys are where it puts them: near 1 for the right one, near 1/n for any other
	Keys     int      `json:"keys"`
	Ring     *Ring    `json:"-"`
}

// Lists are those by which clients may have stored what nodes hold, if the present list is now: that one, that
// without the nodes that hold nothing yet (they have joined), and both with those behind them that hold
// something and are gone. A list of one is none: it explains everything.
func Lists(now []Server, holders []string) (all [][]Server) {
	var before, gone []Server
	for _, s := range now {
		if slices.Contains(holders, s.Name) {
			before = append(before, s)
		}
	}
	for _, name := range holders {
		of := func(s Server) bool { return s.Name == name }
		if name != "" && !slices.ContainsFunc(now, of) && !slices.ContainsFunc(gone, of) {
			gone = append(gone, Server{Name: name})
		}
	}
	for _, list := range [][]Server{now, before, slices.Concat(now, gone), slices.Concat(before, gone)} {
		same := func(other []Server) bool { return slices.Equal(other, list) }
		if len(list) > 1 && !slices.ContainsFunc(all, same) {
			all = append(all, list)
		}
	}
	return all
}

// Compare tries rules over lists with some keys of nodes, by the nodes' names. The best comes first. A rule that
// cannot have a list's weights is left out, unless it is the only one.
func Compare(rules []Rule, lists [][]Server, held map[string][][]byte) (fits []Fit, err error) {
	for _, list := range lists {
		for _, rule := range rules {
			r, err := New(rule, list)
			if errors.Is(err, ErrWeights) && len(rules) > 1 {
				continue
			}
			if err != nil {
				return nil, err
			}
			fits = append(fits, fit(rule, r, list, held))
		}
	}
	slices.SortStableFunc(fits, func(a, b Fit) int {
		return cmp.Or(cmp.Compare(b.explained(), a.explained()), cmp.Compare(b.Fraction, a.Fraction))
	})
	return fits, nil
}

// explained is how many keys a fit that is to be believed speaks of: one that leaves a node out comes after one
// that explains that node, too. The nodes that a ring grew by took over keys of which the others still have old
// values.
func (f *Fit) explained() int {
	if f.Fraction < Enough {
		return 0
	}
	return f.Keys
}

func fit(rule Rule, r *Ring, list []Server, held map[string][][]byte) Fit {
	f := Fit{Rule: rule, Ring: r}
	right := 0
	for node, s := range list {
		f.Nodes, f.Keys = append(f.Nodes, s.Name), f.Keys+len(held[s.Name])
		right += r.holds(node, held[s.Name])
	}
	f.Fraction = float64(right) / float64(max(f.Keys, 1))
	return f
}

// holds counts the keys that belong to a node.
func (r *Ring) holds(node int, keys [][]byte) (right int) {
	for _, key := range keys {
		if r.Node(key) == node {
			right++
		}
	}
	return right
}

// Place is the node of a ring that holds all of these keys, or nearly; -1: none does, or they are too few.
func (r *Ring) Place(keys [][]byte) int {
	count := map[int]int{}
	for _, key := range keys {
		if n := r.Node(key); len(keys) >= least {
			if count[n]++; float64(count[n]) >= Enough*float64(len(keys)) {
				return n
			}
		}
	}
	return -1
}

// Pick takes the best fit if it explains enough, and no other rule does that would put any of the keys elsewhere
// over the present list.
func Pick(fits []Fit, now []Server, held map[string][][]byte) (Fit, error) {
	if len(fits) == 0 {
		return Fit{}, fmt.Errorf("%w: a list of one node tells nothing: expected all nodes that the clients know", ErrServers)
	}
	best := fits[0]
	one := func(f Fit) bool { return f.Rule == best.Rule }
	several := slices.IndexFunc(fits, func(f Fit) bool { return !one(f) }) >= 0
	switch {
	case best.Keys < least:
		return best, fmt.Errorf("%w: %d keys tell nothing: expected %d or more", ErrNoRule, best.Keys, least)
	case several && best.holders(held) < 2:
		return best, fmt.Errorf("%w: keys of one node tell no rule from another: expected those of two or more, or the rule's name", ErrNoRule)
	case best.Fraction < Enough:
		return best, fmt.Errorf("%w: the best, %s over %d nodes, fits %.1f %% of %d keys: expected %.0f %%; `interlock warm ring verify` says more",
			ErrNoRule, best.Rule, len(best.Nodes), best.Fraction*100, best.Keys, Enough*100)
	}
	return best, onlyOne(fits, now, held)
}

// holders counts the nodes of a list whose keys are known.
func (f *Fit) holders(held map[string][][]byte) (n int) {
	for _, name := range f.Nodes {
		if len(held[name]) > 0 {
			n++
		}
	}
	return n
}

// onlyOne refuses where two rules explain what is held and would put a key on different nodes.
func onlyOne(fits []Fit, now []Server, held map[string][][]byte) error {
	first, err := New(fits[0].Rule, now)
	if err != nil {
		return err
	}
	for _, f := range fits[1:] {
		if f.Fraction < Enough || f.Keys < least {
			continue
		}
		other, err := New(f.Rule, now)
		if err != nil {
			return err
		}
		for _, keys := range held {
			for _, key := range keys {
				if first.Node(key) != other.Node(key) {
					return fmt.Errorf("%w: %s and %s, which differ in %.100q: name one", ErrAmbiguous, fits[0].Rule, f.Rule, key)
				}
			}
		}
	}
	return nil
}
