package fault

import (
	"context"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// way says which directions of a contender's links are hit.
type way int

const (
	there    way = 1 << iota // from the contender
	back                     // to it
	bothWays = there | back
)

func networks() []Fault {
	drop, reject := always(wire.Rule{Drop: true}), always(wire.Rule{Reject: true})
	return []Fault{
		cut("cut-drop", 3, bothWays, drop),
		cut("cut-reject", 2, bothWays, reject),
		cut("cut-requests", 2, there, drop),
		cut("cut-replies", 3, back, drop),
		cut("slow-delay", 2, bothWays, func(e *Env) wire.Rule { return wire.Rule{Delay: between(e, 20*ms, 400*ms), Jitter: 20 * ms} }),
		cut("slow-loss", 2, bothWays, func(e *Env) wire.Rule { return wire.Rule{Loss: 0.05 + 0.4*e.Rand.Float64()} }),
		cut("slow-double", 1, bothWays, func(e *Env) wire.Rule { return wire.Rule{Double: 0.5, Jitter: 10 * ms} }),
		cut("slow-reorder", 1, bothWays, func(e *Env) wire.Rule { return wire.Rule{Reorder: 0.3, Jitter: 20 * ms} }),
		cut("slow-8kbit", 1, bothWays, always(wire.Rule{Bits: 8000})),
	}
}

func always(r wire.Rule) func(*Env) wire.Rule { return func(*Env) wire.Rule { return r } }

// cut puts a rule between the target and all servers.
func cut(name string, weight int, w way, rule func(*Env) wire.Rule) Fault {
	return Fault{Name: name, Class: Other, Weight: weight, Min: 100 * ms, Max: 5000 * ms,
		Inject: func(_ context.Context, e *Env) (Heal, error) {
			r, node := rule(e), e.Target.Contender.Node
			set(e.Field, node, w, r)
			return func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }, nil
		}}
}

func set(f *field.Field, contender *wire.Node, w way, r wire.Rule) {
	for _, s := range f.Servers {
		if w&there != 0 {
			f.Net.Set(contender, s.Node, r)
		}
		if w&back != 0 {
			f.Net.Set(s.Node, contender, r)
		}
	}
}
