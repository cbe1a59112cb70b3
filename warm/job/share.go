package job

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
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

// SampleKeys is how many keys of a node are looked at, the hottest ones: those that clients do not use any more
// may be from before the list was changed.
const SampleKeys = 2000

// Fits compares every rule with some keys of nodes, by the nodes' names, over the list as it is now, and as it
// must have been if nodes joined or left since. The best comes first.
func (r Ring) Fits(keys map[string][][]byte) ([]ring.Fit, error) {
	rules := []ring.Rule{r.Rule}
	if r.Rule == AutoRule || r.Rule == "" {
		rules = ring.Rules()
	}
	var holders []string
	for name := range keys {
		holders = append(holders, name)
	}
	slices.Sort(holders)
	return ring.Compare(rules, ring.Lists(r.Nodes, holders), keys)
}

// shares settles the rule, and gives what of each dump is ours: the keys that the clients put on us now, and that
// were in their place when they were dumped. So no key comes from two nodes, and none that its node has lost to
// another since.
func (r Ring) shares(all []*opened, note func(string)) ([]load.Source, error) {
	keys := byNode(all)
	fits, err := r.Fits(keys)
	if err != nil {
		return nil, err
	}
	best, err := ring.Pick(fits, r.Nodes, keys)
	if err != nil {
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
	var sources []load.Source
	for _, o := range r.placed(all, best, note) {
		ours := func(key []byte) bool { return now.Node(key) == self && best.Ring.Node(key) == o.place }
		sources = append(sources, load.Source{Cache: o.cache, Name: r.named(o, best), Keys: ours, Share: part(o.keys, ours), Rank: o.Rank})
	}
	return sources, nil
}

// placed gives each dump its place in the ring of then, and leaves out what has none. A node that is not in the
// list is found by its keys: its successor has another name. Of two at one place the newest stays.
func (r Ring) placed(all []*opened, best ring.Fit, note func(string)) (kept []*opened) {
	newest := map[int]*opened{}
	for _, o := range all {
		if o.place = slices.Index(best.Nodes, o.Node); o.place < 0 {
			o.place = best.Ring.Place(o.keys)
		}
		if o.place < 0 {
			note(fmt.Sprintf("dump %s of %q is left out: its keys fit no place in the ring", o.Snapshot.ID, o.Node))
			continue
		}
		if n := newest[o.place]; n == nil || o.Snapshot.Time.After(n.Snapshot.Time) {
			newest[o.place] = o
		}
	}
	for _, o := range all {
		if o.place < 0 {
			continue
		}
		if o.Node != newest[o.place].Node {
			note(fmt.Sprintf("dump %s of %q is left out: that of %q at its place in the ring is newer", o.Snapshot.ID, o.Node, newest[o.place].Node))
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

// named tells the progress of one filter from that of another.
func (r Ring) named(o *opened, best ring.Fit) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v %q %d", best.Rule, best.Nodes, r.Nodes, r.Self, o.place))
	return fmt.Sprintf("%s-%x", o.cache.ID, sum[:6])
}

// part estimates how much of a dump is ours, rather too little than nothing.
func part(keys [][]byte, ours func([]byte) bool) float64 {
	n := 1
	for _, key := range keys {
		if ours(key) {
			n++
		}
	}
	return float64(n) / float64(len(keys)+1)
}

// opened is a dump that can be read.
type opened struct {
	Held
	cache *item.Cache
	keys  [][]byte // some, the hottest
	place int      // in the ring
}

// open opens dumps, and reads some keys of each where sample says so. close closes all.
func open(ctx context.Context, held []Held, sample bool) (all []*opened, close func() error, err error) {
	close = func() (err error) {
		for _, o := range all {
			err = errors.Join(err, o.cache.Close())
		}
		return err
	}
	for _, h := range held {
		o := &opened{Held: h}
		if o.cache, err = stored.Open(ctx, h.Repository, h.Snapshot); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("dump %s: %w", h.Snapshot.ID, err), close())
		}
		all = append(all, o)
		if !sample {
			continue
		}
		if o.keys, err = someKeys(o.cache); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("dump %s: %w", h.Snapshot.ID, err), close())
		}
	}
	return all, close, nil
}

// Samples are some keys of each dump, by node.
func Samples(ctx context.Context, held []Held) (keys map[string][][]byte, err error) {
	all, close, err := open(ctx, held, true)
	if err != nil {
		return nil, err
	}
	return byNode(all), close()
}

func byNode(all []*opened) map[string][][]byte {
	keys := map[string][][]byte{}
	for _, o := range all {
		if o.Node != "" {
			keys[o.Node] = append(keys[o.Node], o.keys...)
		}
	}
	return keys
}

func someKeys(c *item.Cache) (keys [][]byte, err error) {
	for band := range c.Bands {
		for part := range c.Bands[band].Parts {
			if keys, err = keysOf(c, band, part, keys); err != nil || len(keys) >= SampleKeys {
				return keys, err
			}
		}
	}
	return keys, nil
}

func keysOf(c *item.Cache, band, part int, keys [][]byte) (_ [][]byte, err error) {
	p, err := c.Part(band, part, 0)
	if err != nil {
		return keys, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var i item.Item
	for len(keys) < SampleKeys {
		if err := p.Next(&i); err == io.EOF {
			break
		} else if err != nil {
			return keys, err
		}
		keys = append(keys, slices.Clone(i.Key))
	}
	return keys, nil
}
