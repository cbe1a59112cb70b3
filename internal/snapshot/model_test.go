package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// The model runs the code itself, with real catalogs and manifests and packs of a few bytes, under a
// scheduler that interleaves writers, sweepers and operators of several tokens, step by step of the store.

// runsWithAllRules is how many interleavings must be fine; runsWithout how many may be needed to miss a rule.
const (
	runsWithAllRules = 60
	runsWithout      = 600
)

func TestModel(t *testing.T) { eachForm(t, testModel) }

func testModel(t *testing.T, as form) {
	for _, many := range []bool{false, true} {
		for seed := range uint64(runsWithAllRules) {
			if err := newWorld(t, as, seed, 0, many).run(); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, many, err)
			}
		}
	}
}

// Each rule, dropped, lets something go wrong: so none is there for nothing, and the model sees it. The rules
// know nothing of encryption: that they are missed there too is for the long form.
func TestModelMissesEachRule(t *testing.T) {
	if testkit.Long() {
		eachForm(t, testModelMissesEachRule)
		return
	}
	testModelMissesEachRule(t, form{})
}

func testModelMissesEachRule(t *testing.T, as form) {
	for name, c := range map[string]struct {
		dropped rule
		many    bool // shows only after many commits
	}{
		"fence": {ruleFence, false}, "scope": {ruleScope, false}, "nonce": {ruleNonce, false}, "parent": {ruleParent, false},
		"dead": {ruleDead | ruleReadable, false}, "owner": {ruleOwner, false}, "current": {ruleCurrent, false}, "named": {ruleNamed, false},
		"keep dead": {ruleKeepDead, false}, "sure": {ruleSure, true}, "age": {ruleAge, true}, "chain": {ruleChain, true},
		"claim first": {ruleClaim, false}, "packs first": {rulePacksFirst, false}, "create if absent": {ruleAbsent, false},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(runsWithout) {
				if err := newWorld(t, as, seed, c.dropped, c.many).run(); err != nil {
					t.Logf("%s: seed %d: %v", name, seed, err)
					return
				}
			}
			t.Errorf("nothing went wrong in %d runs", runsWithout)
		})
	}
}

// Rules that the actors keep, not the repository.
const (
	ruleClaim      rule = 1 << 13 << iota // claim before choosing what to restore
	rulePacksFirst                        // packs before the manifest, that before the commit
	ruleAbsent                            // the store's own
)

// A world is one run, with what was seen of it from outside.
type world struct {
	*sched
	mem      *memStore
	dropped  rule
	many     bool
	head     Catalog            // the newest ever
	byNumber map[uint64]Catalog // the chain
	chosen   map[uint64]uint64  // token -> head's number when its holder chose what to restore
	named    map[ID][]string    // keys of the packs of each live manifest that was ever seen
	wrong    error
	as       form
	scratch  string
}

// newWorld makes one of several tokens, or one of a single token with many commits and long pauses.
func newWorld(t *testing.T, as form, seed uint64, dropped rule, many bool) *world {
	t.Helper()
	w := &world{sched: newSched(seed), mem: newMemStore(), dropped: dropped, many: many, as: as, scratch: t.TempDir(),
		byNumber: map[uint64]Catalog{}, chosen: map[uint64]uint64{}, named: map[ID][]string{}}
	w.mem.after = func(op, key string) error { w.seen(op, key); return nil }
	if many {
		w.pauses, w.restless = [2]int{20, 300}, "pinner"
	}
	if dropped == ruleAbsent {
		w.mem.overwrites = true
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

// seen judges each change of the store.
func (w *world) seen(op, key string) {
	if number, ok := catalogNumber(key); ok && op == "create" {
		w.committed(number)
	}
	if op != "put" {
		w.whole(op + " " + key)
	}
}

// committed judges a new catalog. One under an old number is no part of the chain: nobody reads it.
func (w *world) committed(number uint64) {
	data, _ := w.mem.peek(catalogKey(number))
	config := w.repository()
	c, err := decodeCatalog(data, &config, number)
	if err != nil {
		w.fail("%v", err)
	}
	if _, taken := w.byNumber[number]; taken && w.dropped == ruleAbsent {
		w.fail("commit %d was overwritten", number)
	}
	if number <= w.head.Number {
		return
	}
	if w.head.Scope != (Scope{}) && c.Scope != w.head.Scope {
		w.fail("commit %d changes the scope from %v to %v", number, w.head.Scope, c.Scope)
	}
	if s, some := c.Newest(); some && s.Number == number {
		w.published(&c, s)
	}
	w.head, w.byNumber[number] = c, c
}

func (w *world) published(c *Catalog, s Snapshot) {
	if s.ID.Token() != c.Token {
		w.fail("commit %d publishes %s under token %s", c.Number, s.ID, c.Token)
	}
	for token, at := range w.chosen {
		if uint64(s.ID.Token()) < token && at < c.Number {
			w.fail("commit %d publishes %s after the holder of token %d had chosen what to restore", c.Number, s.ID, token)
		}
	}
}

// whole checks that all that is live can be read.
func (w *world) whole(after string) {
	for _, s := range w.head.Live {
		m, there := w.mem.peek(s.ID.manifestKey())
		if !there {
			w.fail("after %s: %s is live without its manifest", after, s.ID)
			return
		}
		if w.named[s.ID] == nil {
			w.named[s.ID] = w.namedIn(s.ID, m)
		}
		for _, p := range w.named[s.ID] {
			if _, there := w.mem.peek(p); !there {
				w.fail("after %s: %s is live without %s", after, s.ID, p)
				return
			}
		}
	}
}

// told compares what a writer was told with what happened.
func (w *world) told(id ID, err error) {
	published := false
	for _, c := range w.byNumber {
		_, live := c.Find(id)
		published = published || live
	}
	switch {
	case err == nil && !published:
		w.fail("%s is said to be published, and is not", id)
	case err != nil && published && !errors.Is(err, ErrUncertain):
		w.fail("%s is published, its writer was told: %v", id, err)
	}
}

// repository is one that nobody's steps count for.
func (w *world) repository() Config {
	data, _ := w.mem.peek(configKey)
	c, _ := decodeConfig(data) // made by Init
	return c
}

func byName(list []*actor) {
	slices.SortFunc(list, func(a, b *actor) int { return strings.Compare(a.name, b.name) })
}
