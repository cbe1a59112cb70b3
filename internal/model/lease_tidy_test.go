package model

import "testing"

// TestTidy: what tidy sets to one value must not hide anything. Without it the same rules are needed, the
// shortest stories are as long, and with all rules nothing breaks.
func TestTidy(t *testing.T) {
	table := droppable()
	for r := allRules; r < rules; r++ {
		s, ok := table[r]
		if r == allRules {
			s, ok = scope{m: leases{contenders: 2, late: 1, timing: plain()}}, true
		}
		many := r == allRules || r == stampAfterReply || r == ownReplyOnly || r == keyCondition
		if !ok || s.m.contenders > 2 || s.large || many && !long() || r == storeVersion { // the last: ten million
			continue
		}
		tidy, raw := s.lacking(r), s.lacking(r)
		raw.untidy = true
		f, g := breadthFirst(tidy, far), breadthFirst(raw, far)
		if f.why != g.why || f.complete != g.complete || len(f.way) != len(g.way) {
			t.Errorf("%q: tidy %q in %d steps of %d states, untidy %q in %d steps of %d states (complete: %v)",
				r, f.why, len(f.way), f.states, g.why, len(g.way), g.states, g.complete)
		}
		t.Logf("%q: %d states, untidy %d", r, f.states, g.states)
	}
}
