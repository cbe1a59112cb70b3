package model

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
)

// A step names one transition: which, by whom, and with what.
type step struct{ act, who, arg uint8 }

// An edge is a step and where it leads.
type edge[S comparable] struct {
	step step
	to   S
}

// A machine is a system of states and steps that can be searched.
type machine[S comparable] interface {
	start() S
	next(s S, out []edge[S]) []edge[S]
	broken(s S) string                     // which invariant the state breaks; empty for none
	tell(before S, t step, after S) string // empty where nothing is worth a line
	passes(t step) bool                    // whether the step lets time pass, by one tick
	ends(s S) string                       // what a story says of its last state
	odds(t step) int                       // how likely a step is on a random way, beside others
}

// A found is what a search came to.
type found[S comparable] struct {
	states   int    // different states looked at
	complete bool   // there are no others
	why      string // the invariant that was broken; empty if none was
	way      []step // from the start to there
}

// breadthFirst looks at every state that can be reached, nearest first, up to a number of states. So a way
// that it finds is a shortest one. States are told apart by 64 bits of a keyed hash: among ten million
// the chance that two share them is below one in three hundred thousand.
func breadthFirst[S comparable](m machine[S], limit int) found[S] {
	seed := maphash.MakeSeed()
	seen, trail := newPrints(), &trail{}
	first := m.start()
	seen.add(maphash.Comparable(seed, first))
	trail.add(0, step{})
	if why := m.broken(first); why != "" {
		return found[S]{states: 1, why: why}
	}
	layer, from := []S{first}, []uint32{0}
	var out []edge[S]
	for len(layer) > 0 {
		var below []S
		var origin []uint32
		for i := range layer {
			out = m.next(layer[i], out[:0])
			for j := range out {
				e := &out[j]
				if !seen.add(maphash.Comparable(seed, e.to)) {
					continue
				}
				at := trail.add(from[i], e.step)
				if why := m.broken(e.to); why != "" {
					return found[S]{states: seen.n, why: why, way: trail.to(at)}
				}
				below, origin = append(below, e.to), append(origin, at)
				if seen.n >= limit {
					return found[S]{states: seen.n}
				}
			}
		}
		layer, from = below, origin
	}
	return found[S]{states: seen.n, complete: true}
}

// randomWalks goes ways of length steps each from the start, for what lies beyond a bound.
func randomWalks[S comparable](m machine[S], seed uint64, walks, length int) found[S] {
	r := rand.New(rand.NewPCG(seed, 0))
	f := found[S]{}
	var out []edge[S]
	for range walks {
		s := m.start()
		way := make([]step, 0, length)
		for range length {
			if out = m.next(s, out[:0]); len(out) == 0 {
				break
			}
			e := draw(m, r, out)
			s, way = e.to, append(way, e.step)
			f.states++
			if why := m.broken(s); why != "" {
				f.why, f.way = why, way
				return f
			}
		}
	}
	return f
}

func draw[S comparable](m machine[S], r *rand.Rand, out []edge[S]) edge[S] {
	sum := 0
	for i := range out {
		sum += m.odds(out[i].step)
	}
	n := r.IntN(sum)
	for i := range out {
		if n -= m.odds(out[i].step); n < 0 {
			return out[i]
		}
	}
	return out[len(out)-1]
}

// A trail remembers how each state was first reached, at eight bytes a state.
type trail struct {
	parent []uint32
	by     []step
}

func (t *trail) add(parent uint32, by step) uint32 {
	t.parent, t.by = append(t.parent, parent), append(t.by, by)
	return uint32(len(t.parent) - 1)
}

func (t *trail) to(at uint32) []step {
	var way []step
	for ; at != 0; at = t.parent[at] {
		way = append([]step{t.by[at]}, way...)
	}
	return way
}

// prints is a set of fingerprints, open addressing at most half full.
type prints struct {
	slot []uint64
	n    int
}

func newPrints() *prints { return &prints{slot: make([]uint64, 1<<12)} }

// add reports whether p was new.
func (s *prints) add(p uint64) bool {
	if p == 0 { // marks a free slot
		p = 1
	}
	if 2*s.n >= len(s.slot) {
		s.grow()
	}
	if !s.put(p) {
		return false
	}
	s.n++
	return true
}

func (s *prints) put(p uint64) bool {
	mask := uint64(len(s.slot) - 1)
	for i := p & mask; ; i = (i + 1) & mask {
		switch s.slot[i] {
		case 0:
			s.slot[i] = p
			return true
		case p:
			return false
		}
	}
}

func (s *prints) grow() {
	old := s.slot
	s.slot = make([]uint64, 2*len(old))
	for _, p := range old {
		if p != 0 {
			s.put(p)
		}
	}
}

// replay follows a way again and tells it, one line a step; a step that the machine does not offer is a
// defect of the search.
func replay[S comparable](m machine[S], way []step) ([]string, error) {
	s, now := m.start(), 0
	var lines []string
	for _, t := range way {
		next, ok := take(m, s, t)
		if !ok {
			return lines, fmt.Errorf("step %v is not offered after %d lines", t, len(lines))
		}
		if m.passes(t) {
			now++
		}
		if line := m.tell(s, t, next); line != "" {
			lines = append(lines, fmt.Sprintf("%3d  t=%-2d %s", len(lines)+1, now, line))
		}
		s = next
	}
	return append(lines, "     "+m.ends(s)), nil
}

func take[S comparable](m machine[S], s S, t step) (S, bool) {
	for _, e := range m.next(s, nil) {
		if e.step == t {
			return e.to, true
		}
	}
	return s, false
}
