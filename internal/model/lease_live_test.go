package model

import "testing"

// TestEveryStepIsTaken: a model in which something never happens proves nothing about it.
func TestEveryStepIsTaken(t *testing.T) {
	taken := map[uint8]int{}
	begins := map[uint8]int{}
	for _, m := range []leases{
		{contenders: 3, removals: 3, late: 2, fences: true},
		{contenders: 3, removals: 3, late: 2, init: true},
		{contenders: 2, removals: 3, late: 2, restarts: true},
	} {
		walk(scope{m: m}.lacking(allRules), 400, 120, func(e edge[lease]) {
			taken[e.step.act]++
			if e.step.act == aBegin {
				begins[e.step.who]++
			}
		})
	}
	for act := range anUnlockedInit {
		if taken[act] == 0 && act != anAsk && act != aReadBehind { // those two are other rules' absence
			t.Errorf("step %d is never taken", act)
		}
	}
	if begins[1] == 0 || begins[2] == 0 {
		t.Errorf("payloads of B began %d times, of C %d times: expected some of each", begins[1], begins[2])
	}
}

// TestRandom goes where the exhaustive search does not: longer holds that differ, settles, more requests
// under way. The seed is printed; INTERLOCK_TEST_SEED=n repeats a run.
func TestRandom(t *testing.T) {
	walks := 250
	if long() {
		walks = 60_000
	}
	seed := seedOf(t)
	for i, tm := range []timing{
		{hold: [contenders]uint8{64, 40, 24}, settle: [contenders]uint8{16, 16, 24}, holdMax: 64, effects: [contenders]uint8{2, 2, 2}},
		{hold: [contenders]uint8{16, 48, 72}, settle: [contenders]uint8{8, 8, 8}, holdMax: 72, effects: [contenders]uint8{1, 1, 1}},
		{hold: [contenders]uint8{40, 40, 40}, holdMax: 40},
	} {
		for _, restarts := range []bool{false, true} {
			m := newLeases(leases{timing: tm, contenders: 3, removals: 3, late: 2, fences: i != 2, restarts: restarts})
			f := randomWalks(m, seed, walks, 200)
			if f.why != "" {
				t.Fatalf("seed %d: %s\n%s", seed, f.why, story(t, m, f.way))
			}
			t.Logf("seed %d, timing %d, versions restart %v: %d random steps", seed, i, restarts, f.states)
		}
	}
}

// crashes is how often a contender of the crash loop may die before it counts as never.
const crashes = 200

// TestCrashLoop is T4's other side: contenders that die in their hold-off, one after another, must not put
// the start off for ever. What is left goes down with real time, whoever counts it.
func TestCrashLoop(t *testing.T) {
	started, after := crashLoop(allRules)
	if !started {
		t.Fatalf("nobody started in %d crashes", crashes)
	}
	m := scope{m: leases{timing: loopTiming()}}.lacking(allRules)
	bound := int(m.scaled(m.hold[0]))/slowest + 2
	t.Logf("started after %d ticks with a hold of %d, bound %d", after, m.hold[0]/right, bound)
	if after > bound {
		t.Errorf("started after %d ticks, expected at most %d", after, bound)
	}
	if started, after := crashLoop(waitGoesDown); started {
		t.Errorf("with a full hold stamped anew by each it started after %d ticks: this shows nothing", after)
	}
}

func loopTiming() timing {
	return timing{hold: [contenders]uint8{20 * right, 20 * right, 20 * right}, holdMax: 20 * right}
}

// crashLoop kills each contender five ticks after its grant; the next one saw each version at once and is
// granted one tick later. It uses the machine's own steps, and the same two places of the queue again and
// again.
func crashLoop(r rule) (started bool, ticks int) {
	m := newLeases(leases{dropped: r, timing: loopTiming(), contenders: 3})
	s := m.start()
	die(&s, 0)
	for i := range crashes {
		x := 1 + i%2
		enter(&s, x)
		next := 3 - x
		s.who[next] = contender{key: true, stage: queued, seen: notSeen, asked: notSeen, lease: noLease}
		if m.read(&s, x); s.who[x].stage == ready {
			return true, ticks
		}
		s.who[x].known = present
		m.send(&s, x, waiting)
		m.arrive(&s, x)
		m.hear(&s, x)
		m.look(&s, next)
		for range 5 {
			if m.tick(&s); s.who[x].stage == ready {
				return true, ticks
			}
			ticks++
		}
		s.rec.token = 0 // the tokens of a longer queue would go on growing
		die(&s, x)
		m.tick(&s)
		ticks++
	}
	return false, ticks
}

func die(s *lease, x int) {
	s.who[x] = contender{stage: over, seen: notSeen, asked: notSeen, lease: noLease}
}

// enter is the grant; what was seen in the queue is kept.
func enter(s *lease, x int) {
	s.who[x].key, s.who[x].stage = true, granted
	s.who[x].asked, s.who[x].lease = notSeen, noLease
	if s.rec.phase == running {
		s.who[x].seen = 0
	}
}
