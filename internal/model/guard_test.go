package model

import "testing"

// ways are the scenes: a guard that can be killed, one that is PID 1, and a run of two tenures.
func ways() map[string]pairs {
	list := map[string]pairs{
		"guard and agent":    {},
		"the guard is PID 1": {first: true},
	}
	if long() {
		list["two tenures in a run"] = pairs{twice: true}
	}
	return list
}

// TestGuardAllRules: nothing works after the release, after D, or after the proof, whoever is stopped or
// killed.
func TestGuardAllRules(t *testing.T) {
	for name, m := range ways() {
		t.Run(name, func(t *testing.T) {
			f := breadthFirst(&m, far)
			t.Logf("%d states", f.states)
			if f.why != "" {
				t.Fatalf("%s\n%s", f.why, story(t, &m, f.way))
			}
			if !f.complete {
				t.Fatalf("stopped after %d states", f.states)
			}
		})
	}
}

// TestGuardDroppedRules: each rule is needed. With -v it prints the stories.
func TestGuardDroppedRules(t *testing.T) {
	for b := allBonds + 1; b < bonds; b++ {
		if b == tenureInMessages && !long() { // two tenures, three hundred thousand states
			continue
		}
		t.Run(b.String(), func(t *testing.T) {
			m := pairs{dropped: b, first: b == firstGuardWaits, twice: b == tenureInMessages}
			f := breadthFirst(&m, far)
			if f.why == "" {
				t.Fatalf("no counter-example in %d states (complete: %v)", f.states, f.complete)
			}
			t.Logf("%d states until: %s\n%s", f.states, f.why, story(t, &m, f.way))
		})
	}
}

// TestGuardEveryStep: each step is taken, and processes get to work.
func TestGuardEveryStep(t *testing.T) {
	taken, works := map[uint8]int{}, 0
	for _, m := range ways() {
		walk(&m, 300, 100, func(e edge[pair]) { taken[e.step.act]++ })
	}
	for act := range gKilledAgent + 1 {
		if taken[act] == 0 && act != gAgain {
			t.Errorf("step %d is never taken", act)
		}
	}
	if works = taken[gChildEnds]; works == 0 {
		t.Error("no process ever worked")
	}
}
