package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/ring"
	"github.com/interlock-run/interlock/warm/stored"
)

// AutoRule asks for the rule that fits what the nodes hold.
const AutoRule ring.Rule = "auto"

// A Ring is how the clients find a node; the zero Ring is none.
type Ring struct {
	Rule  ring.Rule
	Nodes []ring.Server // the clients' own list
	Self  string        // our name in it
}

// A Fit is how well one rule over one list explains what the nodes held.
type Fit struct {
	Rule     ring.Rule `json:"rule"`
	Nodes    []string  `json:"nodes"`
	Fraction float64   `json:"fraction"`
	Keys     int       `json:"keys"`
}

// sample is how many keys of a dump are looked at, the hottest ones.
const sample = 2000

// Fits compares every rule with what the nodes held, over the list as it is now, and as it must have been if
// nodes joined or left since the dumps. The best comes first.
func Fits(ctx context.Context, r Ring, held []Held) ([]Fit, error) {
	keys, err := sampled(ctx, held)
	if err != nil {
		return nil, err
	}
	rules := []ring.Rule{r.Rule}
	if r.Rule == AutoRule || r.Rule == "" {
		rules = ring.Rules()
	}
	var all []Fit
	for _, list := range lists(r, held) {
		for _, rule := range rules {
			f, err := fit(rule, list, keys)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b Fit) int {
		switch {
		case a.Fraction > b.Fraction:
			return -1
		case a.Fraction < b.Fraction:
			return 1
		}
		return 0
	})
	return all, nil
}

func fit(rule ring.Rule, list []ring.Server, keys map[string][][]byte) (Fit, error) {
	f := Fit{Rule: rule}
	r, err := ring.New(rule, list)
	if err != nil {
		return f, err
	}
	right := 0.0
	for n, s := range list {
		f.Nodes = append(f.Nodes, s.Name)
		part, total := ring.Verify(r, n, slices.Values(keys[s.Name]))
		right, f.Keys = right+part*float64(total), f.Keys+total
	}
	f.Fraction = right / float64(max(f.Keys, 1))
	return f, nil
}

// lists are those by which the clients may have stored what was dumped: that of now, that without the nodes
// that have no dump, and that with the nodes that are gone behind it. A list of one explains everything.
func lists(r Ring, held []Held) (all [][]ring.Server) {
	dumped := map[string]bool{}
	for _, h := range held {
		dumped[h.Node] = h.Node != ""
	}
	var before []ring.Server
	known := map[string]bool{}
	for _, s := range r.Nodes {
		known[s.Name] = true
		if dumped[s.Name] {
			before = append(before, s)
		}
	}
	after := slices.Clone(r.Nodes)
	for _, h := range held {
		if h.Node != "" && !known[h.Node] {
			known[h.Node] = true
			after = append(after, ring.Server{Name: h.Node})
		}
	}
	for _, list := range [][]ring.Server{r.Nodes, before, after} {
		same := func(other []ring.Server) bool { return slices.Equal(other, list) }
		if len(list) > 1 && !slices.ContainsFunc(all, same) {
			all = append(all, list)
		}
	}
	return all
}

// leastKeys is how many keys tell one rule from another.
const leastKeys = 100

// share settles the rule, and gives the test for the keys of a dump that are ours: those that the clients put
// on us now, and that were in their place when they were dumped.
func (r Ring) share(ctx context.Context, held []Held, note func(string)) (func(Held) func([]byte) bool, error) {
	fits, err := Fits(ctx, r, held)
	if err != nil {
		return nil, err
	}
	if len(fits) == 0 {
		return nil, fmt.Errorf("%w: a list of one node tells nothing: expected all nodes that the clients know", ring.ErrServers)
	}
	best := fits[0]
	if best.Fraction < ring.Enough || best.Keys < leastKeys {
		return nil, fmt.Errorf("%w: the best, %s over %d nodes, fits %.1f %% of %d keys: expected %.0f %% of %d or more; `interlock warm ring verify` says more",
			ring.ErrNoRule, best.Rule, len(best.Nodes), best.Fraction*100, best.Keys, ring.Enough*100, leastKeys)
	}
	if err := r.onlyOne(ctx, fits, held); err != nil {
		return nil, err
	}
	note(fmt.Sprintf("ring %s over %d nodes fits %.1f %% of %d keys", best.Rule, len(best.Nodes), best.Fraction*100, best.Keys))
	now, err := ring.New(best.Rule, r.Nodes)
	if err != nil {
		return nil, err
	}
	self := slices.IndexFunc(r.Nodes, func(s ring.Server) bool { return s.Name == r.Self })
	if self < 0 {
		return nil, fmt.Errorf("%w: %q is not in the list of nodes", ring.ErrServers, r.Self)
	}
	then, err := ring.New(best.Rule, r.weighted(best.Nodes))
	if err != nil {
		return nil, err
	}
	return func(h Held) func([]byte) bool {
		owner := slices.Index(best.Nodes, h.Node)
		return func(key []byte) bool {
			return now.Node(key) == self && (owner < 0 || then.Node(key) == owner)
		}
	}, nil
}

func (r Ring) weighted(names []string) (list []ring.Server) {
	for _, name := range names {
		s := ring.Server{Name: name}
		if i := slices.IndexFunc(r.Nodes, func(n ring.Server) bool { return n.Name == name }); i >= 0 {
			s = r.Nodes[i]
		}
		list = append(list, s)
	}
	return list
}

// onlyOne refuses where two rules explain what was dumped and would load different keys.
func (r Ring) onlyOne(ctx context.Context, fits []Fit, held []Held) error {
	keys, err := sampled(ctx, held)
	if err != nil {
		return err
	}
	first, err := ring.New(fits[0].Rule, r.Nodes)
	if err != nil {
		return err
	}
	for _, f := range fits[1:] {
		if f.Fraction < ring.Enough {
			break
		}
		other, err := ring.New(f.Rule, r.Nodes)
		if err != nil {
			return err
		}
		for _, some := range keys {
			for _, key := range some {
				if first.Node(key) != other.Node(key) {
					return fmt.Errorf("%w: %s and %s, which differ in %.100q: name one", ring.ErrAmbiguous, fits[0].Rule, f.Rule, key)
				}
			}
		}
	}
	return nil
}

// sampled are some keys of each dump, by node.
func sampled(ctx context.Context, held []Held) (map[string][][]byte, error) {
	keys := map[string][][]byte{}
	for _, h := range held {
		some, err := keysOf(ctx, h)
		if err != nil {
			return nil, err
		}
		keys[h.Node] = some
	}
	return keys, nil
}

func keysOf(ctx context.Context, h Held) (keys [][]byte, err error) {
	c, err := stored.Open(ctx, h.Repository, h.Snapshot)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for band := range c.Bands {
		for part := range c.Bands[band].Parts {
			if keys, err = someKeys(c, band, part, keys); err != nil || len(keys) >= sample {
				return keys, err
			}
		}
	}
	return keys, nil
}

func someKeys(c *item.Cache, band, part int, keys [][]byte) (_ [][]byte, err error) {
	p, err := c.Part(band, part, 0)
	if err != nil {
		return keys, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var i item.Item
	for len(keys) < sample {
		if err := p.Next(&i); err == io.EOF {
			break
		} else if err != nil {
			return keys, err
		}
		keys = append(keys, slices.Clone(i.Key))
	}
	return keys, nil
}
