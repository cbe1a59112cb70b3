package model

import (
	"os"
	"strings"
	"testing"
)

// long asks for the larger bounds too, as everywhere in this repository.
func long() bool { return os.Getenv("INTERLOCK_TEST_LONG") != "" }

// far is more states than any search here needs; one that comes to it has failed.
const far = 12_000_000

// A scope is how far the world around the protocol may go. Time is never bounded.
type scope struct {
	name  string
	m     leases
	large bool // only with INTERLOCK_TEST_LONG
}

func scopes() []scope {
	return []scope{
		{name: "three contenders", m: leases{contenders: 3, removals: 1, late: 1, fences: true}},
		{name: "three contenders, nothing to settle", m: leases{contenders: 3, removals: 1, late: 1, fences: true, timing: plain()}},
		{name: "two contenders, anything goes", m: leases{contenders: 2, removals: always, late: 2, fences: true}},
		{name: "two contenders, versions that restart", m: leases{contenders: 2, removals: 1, late: 1, restarts: true}},
		{name: "lock init", m: leases{contenders: 3, removals: always, late: 1, fences: true, init: true}},
		{name: "no record at the start", large: true, m: leases{contenders: 3, removals: always, late: 1, noRecord: true, timing: plain()}},
		{name: "three contenders, anything goes", large: true, m: leases{contenders: 3, removals: always, late: 2, fences: true}},
		{name: "versions that restart, anything goes", large: true, m: leases{contenders: 3, removals: always, late: 2, fences: true, restarts: true, noRecord: true}},
		{name: "lock init, anything goes", large: true, m: leases{contenders: 3, removals: always, late: 2, fences: true, init: true}},
		{name: "holds that grow", large: true, m: leases{contenders: 3, removals: 1, late: 1, fences: true, timing: growing()}},
		{name: "settles that differ", large: true, m: leases{contenders: 3, removals: 1, late: 1, barren: true, timing: settling()}},
		{name: "one who does not settle between", m: leases{contenders: 3, late: 1, timing: between()}},
	}
}

// between: A's writes arrive late, B neither waits for them nor has any, and C would.
func between() timing {
	return timing{hold: [contenders]uint8{right, right, right}, settle: [contenders]uint8{0, 0, 4 * right}, holdMax: right, effects: [contenders]uint8{3, 0, 0}}
}

// settling: only C knows that the storage takes long to settle, and B dies before it begins.
func settling() timing {
	return timing{hold: [contenders]uint8{right, right, right}, settle: [contenders]uint8{0, 0, 12 * right}, holdMax: right, effects: [contenders]uint8{12, 12, 12}}
}

// growing: each contender holds longer than the one before, and the last two know of a settle.
func growing() timing {
	return timing{hold: [contenders]uint8{right, 2 * right, 4 * right}, settle: [contenders]uint8{0, right, 2 * right}, holdMax: 4 * right, effects: [contenders]uint8{0, 1, 2}}
}

// lacking is the machine of a scope without one rule.
func (s scope) lacking(r rule) *leases {
	m := s.m
	m.dropped = r
	if m.timing == (timing{}) {
		m.timing = small()
	}
	return newLeases(m)
}

// TestAllRules: nothing breaks, in any state that can be reached at all.
func TestAllRules(t *testing.T) {
	for _, s := range scopes() {
		if s.large && !long() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			m := s.lacking(allRules)
			f := breadthFirst(m, far)
			t.Logf("%d states", f.states)
			if f.why != "" {
				t.Fatalf("%s\n%s", f.why, story(t, m, f.way))
			}
			if !f.complete {
				t.Fatalf("stopped after %d states: the scope is too large", f.states)
			}
		})
	}
}

// droppable is each rule with a scope, no larger than one in which all rules hold, that shows what it is for.
func droppable() map[rule]scope {
	two, three := leases{contenders: 2, late: 1}, leases{contenders: 3, late: 1}
	removed, fenced, initial := two, three, three
	removed.removals, fenced.fences = 1, true
	initial.removals, initial.init = 1, true
	none := removed
	none.late = 0
	unread := leases{contenders: 3, late: 1, removals: 1, noRecord: true}
	restarts := unread
	restarts.restarts = true
	list := map[rule]leases{
		holdOff: two, stampBeforeSend: two, keyCondition: none, storeVersion: two, stampAfterReply: two,
		linearizableRead: removed, readBeforeWrite: two, ackBeforeStart: {contenders: 3}, holdOfRecord: two,
		tellTheWait: three, deathBeforeRelease: two, drainedAfterWait: three, releaseIsFinal: two,
		deadByDeadline: two, fenceCoversOwes: fenced, fenceCoversWriter: fenced, waitByVersion: three,
		initAbsent: initial, initLocked: initial, createOwesHold: unread, sessionOrder: restarts,
		holdMaxByHand: removed,
		settleScaled:  {contenders: 3, barren: true, timing: settling()},
		ownReplyOnly:  two, clockFactors: two, holderMax: two, successorMin: two, settleCounts: two,
		unknownUnsafe: {contenders: 3, late: 1, removals: 1, fences: true},
		absentOwes:    removed, owesCarried: fenced, undrainedStays: {contenders: 3, timing: between()},
	}
	scopes := map[rule]scope{}
	for r, m := range list {
		if r != settleCounts && r != settleScaled && r != undrainedStays {
			m.timing = plain() // two living payloads are what is looked for
		}
		scopes[r] = scope{name: r.String(), m: m, large: r == sessionOrder || r == settleScaled}
	}
	return scopes
}

// TestDroppedRules: each rule is needed. With -v it prints the stories.
func TestDroppedRules(t *testing.T) {
	table := droppable()
	for r := allRules + 1; r < rules; r++ {
		if r == waitGoesDown { // a matter of starting at all: TestCrashLoop
			continue
		}
		s, ok := table[r]
		if !ok {
			t.Errorf("no scope is given for %q", r)
		}
		if s.large && !long() {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			m := s.lacking(r)
			f := breadthFirst(m, far)
			if f.why == "" {
				t.Fatalf("no counter-example in %d states (complete: %v)", f.states, f.complete)
			}
			t.Logf("%d states until: %s\n%s", f.states, f.why, story(t, m, f.way))
		})
	}
}

func story[S comparable](t *testing.T, m machine[S], way []step) string {
	t.Helper()
	lines, err := replay(m, way)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
