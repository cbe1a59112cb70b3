// Package fault is what the chaos suite does to a field: the faults, the draw of them from a seed, and the
// log of when each began and was healed.
//
// Promise: a seed gives the same fault on the same kind of victim again; faults that together would take
// away both watchers of one payload, which nobody can survive, are never combined; all are healed at the
// end, whatever happened. Non-promise: the interleaving with the programs under test is the machine's, a
// seed does not bring it back. Called by the chaos suite.
package fault

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

// A Class keeps faults apart that must not come together.
type Class int

// The classes.
const (
	Watcher Class = iota // takes away guard or agent, or all of a run
	Other
	Alone // its own check would not hold beside another
)

// A Fault is one way to break something.
type Fault struct {
	Name     string
	Class    Class
	Weight   int
	Min, Max time.Duration // from begin to heal
	Fits     func(*Env) bool
	Inject   func(context.Context, *Env) (Heal, error)
}

// A Heal takes the fault back; nil: there is nothing to take back.
type Heal func(context.Context) error

// An Env is what one fault is told.
type Env struct {
	Field  *field.Field
	Rand   *rand.Rand
	Target field.Run // the victim, most often the holder
	Holds  bool      // the target is the holder
	Broken string    // set by a fault that saw itself what must not be
	Stall  bool      // set by a fault that stops a whole tree
	Length time.Duration
	Scale  float64 // of all times: 1 at a hold of 2 s
}

func holds(e *Env) bool    { return e.Holds }
func isEtcd(e *Env) bool   { _, ok := e.Field.Service.(*field.Etcd); return ok }
func inPIDNS(e *Env) bool  { return e.Target.Init.PID != 0 }
func hasAgent(e *Env) bool { return e.Target.Agent.PID != 0 }

// All are the faults there are, in an order that never changes: seeds count by it. New ones go to the end.
func All() []Fault {
	var all []Fault
	for _, part := range [][]Fault{processes(), networks(), servers(), operators(), stories(), loads(), keepers(), later(), takeovers(), clocks()} {
		all = append(all, part...)
	}
	return all
}

const ms = time.Millisecond
