package fault

import (
	"context"
	"errors"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// clocks are drawn where the binary under test can bend them.
func clocks() []Fault {
	waits := func(e *Env) bool { return e.Field.Bend && e.Holds }
	return []Fault{
		{Name: "clock-jump", Class: Other, Weight: 3, Fits: func(e *Env) bool { return e.Field.Bend }, Inject: jump},
		{Name: "clock-jump-at-takeover", Class: Other, Weight: 5, Min: 1500 * ms, Max: 3000 * ms, Fits: waits, Inject: jumpAtTakeover},
	}
}

// jump: a holder must count the hour, a waiting one must not.
func jump(_ context.Context, e *Env) (Heal, error) { return nil, e.Field.Jump(e.Target.Host) }

// jumpAtTakeover: the key is taken from a holder that cannot hear of it, and the clocks of all others jump in
// the hold-off.
func jumpAtTakeover(ctx context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	set(e.Field, node, bothWays, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }
	_, err := onKey(0, field.Service.Remove)(ctx, e)
	wait(ctx, between(e, 50*ms, 500*ms))
	for _, c := range e.Field.Contenders {
		if r, ok := c.Now(); ok && r.Host != e.Target.Host {
			err = errors.Join(err, e.Field.Jump(r.Host))
		}
	}
	return heal, err
}
