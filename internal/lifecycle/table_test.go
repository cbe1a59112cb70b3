package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated page anew")

const page = "../../docs/lifecycle.md"

// leadsTo lists the phases that one event leads to p.
func leadsTo(p Phase) []Phase {
	var from []Phase
	for q := range phases {
		for e := range events {
			if table[q][e] == p && !slices.Contains(from, q) {
				from = append(from, q)
			}
		}
	}
	return from
}

func TestEveryCellIsDecided(t *testing.T) {
	for p := range phases {
		for e := range events {
			next := table[p][e]
			if next == Looking || next < never || next >= phases {
				t.Errorf("(%v, %v) = %d: a cell left out reads as the first phase, where a run never returns", p, e, next)
			}
			if next == p {
				t.Errorf("(%v, %v) enters itself anew: say stay", p, e)
			}
		}
	}
}

// Nothing that can write starts before the first acknowledged `running` heartbeat (T5): the only way from
// the queue to the data goes through Leased.
func TestNothingStartsBeforeTheLease(t *testing.T) {
	if from := leadsTo(Mounting); len(from) != 1 || from[0] != HoldingOff {
		t.Errorf("mounting is reached from %v: expected the hold-off alone", from)
	}
	for e := range events {
		if table[HoldingOff][e] == Mounting && e != Leased {
			t.Errorf("the hold-off ends by %v: expected leased alone", e)
		}
	}
	for _, c := range []struct{ p, from Phase }{{Claiming, Mounting}, {Restoring, Claiming}, {Starting, Restoring}, {Launching, Starting}, {Warming, Launching}, {Serving, Warming}} {
		if from := leadsTo(c.p); len(from) != 1 || from[0] != c.from {
			t.Errorf("%v is reached from %v: expected %v alone", c.p, from, c.from)
		}
	}
}

// The lock is released only after the guard's last word, or where nothing was ever granted a start (E2, E3).
func TestReleaseComesLast(t *testing.T) {
	for p := range phases {
		for e := range events {
			if table[p][e] != Releasing {
				continue
			}
			if !(p == Finishing && e == Dead) && !(p == Withdrawing && e == Granted) {
				t.Errorf("(%v, %v) releases: expected only the guard's last word, or a grant that nobody wants any more", p, e)
			}
		}
	}
	for _, c := range []struct{ p, from Phase }{{Saving, Killing}, {Draining, Saving}} {
		if from := leadsTo(c.p); len(from) != 1 || from[0] != c.from {
			t.Errorf("%v is reached from %v: expected %v alone", c.p, from, c.from)
		}
	}
	for e := range events {
		if next := table[Killing][e]; e != Empty && next != stay && next != never && next != Finished {
			t.Errorf("killing goes on to %v by %v: expected the proof (empty) alone", next, e)
		}
	}
	if from := leadsTo(Finishing); len(from) != 1 || from[0] != Draining {
		t.Errorf("finishing is reached from %v: expected draining alone", from)
	}
}

// What comes from outside can come at any time.
func TestOutsideEventsHaveACellEverywhere(t *testing.T) {
	for p := range phases {
		for _, e := range []Event{Stop, MountLost, GuardGone} {
			if table[p][e] == never {
				t.Errorf("(%v, %v) says never, but it can come in any phase", p, e)
			}
		}
		if table[p][LeaseLost] == never && p >= HoldingOff {
			t.Errorf("(%v, lease-lost) says never, but a granted lock can be lost in any phase", p)
		}
	}
}

// A service that is not ready yet has no clients to be kind to: a loss kills it at once, while one that was
// told to stop may put its files in order.
func TestWarmingEnds(t *testing.T) {
	for e, want := range map[Event]Phase{LeaseLost: Killing, MountLost: Killing, PayloadExited: Killing, Failed: Killing, Empty: Killing, GuardGone: Killing, Stop: Stopping} {
		if got := table[Warming][e]; got != want {
			t.Errorf("(warming, %v) = %v: expected %v", e, got, want)
		}
	}
}

// A stop or a loss ends the run: from the cell on, no way leads back to a start.
func TestEndsAreFinal(t *testing.T) {
	for _, end := range []Phase{Withdrawing, Stopping, Losing, Killing, Saving, Draining, Finishing, Releasing} {
		for _, p := range reach(end) {
			if p < Withdrawing || p > Withdrawing && p < Stopping {
				t.Errorf("from %v the run can come back to %v", end, p)
			}
		}
		if !slices.Contains(reach(end), Finished) {
			t.Errorf("from %v the run cannot finish", end)
		}
	}
	for p := range Finished {
		for _, e := range []Event{Stop, LeaseLost, MountLost, GuardGone} {
			next := table[p][e]
			if next >= 0 && next < Stopping && next != Withdrawing && next != Finished {
				t.Errorf("(%v, %v) goes on to %v: expected an end", p, e, next)
			}
		}
	}
}

func reach(from Phase) []Phase {
	seen := []Phase{}
	for todo := []Phase{from}; len(todo) > 0; {
		p := todo[0]
		todo = todo[1:]
		for _, next := range table[p] {
			if next >= 0 && !slices.Contains(seen, next) {
				seen = append(seen, next)
				todo = append(todo, next)
			}
		}
	}
	return seen
}

func TestPageIsTheTable(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (%v): go test ./internal/lifecycle -update", page, err)
	}
}

func render() string {
	var b strings.Builder
	b.WriteString("# The order of a run\n\nMade from the transition table in `internal/lifecycle`; do not edit. A row is a phase, a column what can\nhappen, a cell the next phase. `·` is heard and changes nothing, `×` cannot happen (if it does: kill, exit 70).\n\n| phase |")
	for e := range events {
		fmt.Fprintf(&b, " %v |", e)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", int(events)) + "\n")
	for p := range phases {
		fmt.Fprintf(&b, "| **%v** |", p)
		for e := range events {
			switch next := table[p][e]; next {
			case stay:
				b.WriteString(" · |")
			case never:
				b.WriteString(" × |")
			default:
				fmt.Fprintf(&b, " %v |", next)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
