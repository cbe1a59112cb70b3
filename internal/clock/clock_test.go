package clock

import (
	"testing"
	"time"
)

func TestSides(t *testing.T) {
	then := Stamp{Boot: 10 * time.Second, Raw: 100 * time.Second}
	now := Stamp{Boot: 15 * time.Second, Raw: 108 * time.Second}
	if got := now.HolderSince(then); got != 8*time.Second {
		t.Errorf("a holder counts %v: expected the larger, 8s", got)
	}
	if got := now.SuccessorSince(then); got != 5*time.Second {
		t.Errorf("a successor counts %v: expected the smaller, 5s", got)
	}
}

func TestDeadline(t *testing.T) {
	deadline := Stamp{Boot: 10, Raw: 10}
	for _, c := range []struct {
		now            Stamp
		reached, later bool
	}{
		{Stamp{9, 9}, false, false}, {Stamp{10, 9}, true, false}, {Stamp{9, 10}, true, false},
		{Stamp{11, 10}, true, false}, {Stamp{10, 11}, true, false}, {Stamp{11, 11}, true, true},
	} {
		if got := c.now.Reached(deadline); got != c.reached {
			t.Errorf("%v reached %v: %v, expected %v: either clock ends a lease", c.now, deadline, got, c.reached)
		}
		if got := c.now.Later(deadline); got != c.later {
			t.Errorf("%v later than %v: %v, expected %v: only both clocks extend one", c.now, deadline, got, c.later)
		}
	}
}

func TestNowAdvancesOnBothClocks(t *testing.T) {
	a := Now()
	for b := Now(); ; b = Now() {
		if b.Boot < a.Boot || b.Raw < a.Raw {
			t.Fatalf("%v after %v", b, a)
		}
		if b.Later(a) {
			return
		}
	}
}
