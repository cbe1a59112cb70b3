package lock

import (
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/mutate"
)

// An inheritance is what a new holder takes over from the record that it read at T1: how long it must
// wait, for whom, and whose writes may still be on their way.
type inheritance struct {
	owed    time.Duration // from t_obs (T3)
	settle  time.Duration // the largest settle counted in owed; goes into our own `waiting` records
	owes    []Owed        // everybody not proven dead and drained (T4)
	volumes []string      // network volumes with possibly undrained writes (E7)
	unknown bool          // nobody knows what ran before, nor on which volumes
	why     string
}

// inherit is rule T3 and T4 for a record that exists. own is our token: found on record before our first
// write, it is another path's write and owed as a running holder's (T1).
func inherit(r Record, own fence.Token, t Timing) inheritance {
	in := inheritance{settle: max(t.Settle, r.settle()), owes: slices.Clone(r.Owes)}
	writer := Owed{Token: r.Token, Node: r.Node, BootID: r.BootID, Volumes: r.Volumes}
	switch {
	case r.Token == own:
		in.owed = Scaled(max(r.wait(), t.Hold) + in.settle)
		in.owes = append(in.owes, writer)
		in.why = "the record carries our own token before our first write"
	case r.Phase == Drained:
		in.owes, in.settle = nil, t.Settle
		in.why = "the previous holder ended and drained"
		return in
	case r.Phase == Dead:
		in.owed = Scaled(in.settle)
		in.owes = append(in.owes, writer)
		in.why = "the previous holder is proven dead; settle only"
	case r.Phase == Waiting:
		// wait_ms holds the factor already; what our own settle adds to it does not.
		in.owed = r.wait() + Scaled(max(0, t.Settle-r.settle()))
		in.why = "a contender ended in its own hold-off; what it had left"
	default:
		in.owed = Scaled(r.wait() + in.settle)
		if mutate.Broken("own-hold-counts") { // T3: the wait on record, not the own hold
			in.owed = Scaled(t.Hold + in.settle)
		}
		in.owes = append(in.owes, writer)
		in.why = "the previous holder may still run"
	}
	in.volumes = undrained(in.owes)
	in.unknown = slices.ContainsFunc(in.owes, isUnknown)
	return in
}

// inheritNothing is T3 for an absent record: nobody knows what ran before.
func inheritNothing(t Timing, neverRan bool) inheritance {
	if neverRan || mutate.Broken("no-record-no-wait") { // T3: absence proves nothing
		return inheritance{settle: t.Settle, why: "no record, and no claim at any configured place: nobody ever ran"}
	}
	hold := t.Hold
	if t.HoldMaxSet {
		hold = t.HoldMax
	}
	return inheritance{
		owed: Scaled(hold + t.Settle), settle: t.Settle, owes: []Owed{{Unknown: true}}, unknown: true,
		why: "no record, and no proof that nobody ever ran (`interlock lock init` avoids this wait at a first start)",
	}
}

// undrained lists the network volumes of holders that are not proven drained, each once.
func undrained(owes []Owed) []string {
	var vs []string
	for _, o := range owes {
		vs = append(vs, o.Volumes...)
	}
	slices.Sort(vs)
	return slices.Compact(vs)
}

func isUnknown(o Owed) bool { return o.Unknown }

// refuseUndrained is E7's require_drained.
func (in inheritance) refuseUndrained() error {
	switch {
	case len(in.volumes) > 0:
		return fmt.Errorf("%w: late writes to %v are possible and require-drained is set: fence the earlier holder at the storage, then clear the record", ErrUndrained, in.volumes)
	case in.unknown:
		return fmt.Errorf("%w: nobody knows what ran before (%s) and require-drained is set: if nobody ever ran here, `interlock lock init`", ErrUndrained, in.why)
	}
	return nil
}
