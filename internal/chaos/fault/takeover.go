package fault

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// takeovers are stories around the moment at which the lock passes on: each aims at one rule.
func takeovers() []Fault {
	return []Fault{
		{Name: "late-reply-then-cut", Class: Other, Weight: 2, Min: 1500 * ms, Max: 3000 * ms, Fits: holds, Inject: lateReplyThenCut},
		{Name: "chain-removed", Class: Other, Weight: 3, Min: 1500 * ms, Max: 3000 * ms, Fits: holds, Inject: chainRemoved},
		{Name: "cut-at-takeover", Class: Other, Weight: 3, Min: 1500 * ms, Max: 3000 * ms, Fits: holds, Inject: cutAtTakeover},
		{Name: "init-over-live", Class: Watcher, Weight: 2, Min: 1000 * ms, Max: 2000 * ms, Fits: holds, Inject: initOverLive},
		{Name: "stuck-guard-killed", Class: Alone, Weight: 2, Min: 3000 * ms, Max: 6000 * ms, Fits: canStick, Inject: stick(unix.SIGKILL)},
		{Name: "frozen-guard-killed", Class: Alone, Weight: 2, Min: 3000 * ms, Max: 6000 * ms, Fits: canOrphan, Inject: frozenOrphan},
	}
}

func canOrphan(e *Env) bool { return canFreezeV1(e) && hasAgent(e) }

// lateReplyThenCut: acknowledgements come almost too late, then nothing does. A deadline that counts from
// their arrival is later than what the successor knows.
func lateReplyThenCut(ctx context.Context, e *Env) (Heal, error) {
	node, timing := e.Target.Contender.Node, e.Field.Timing
	set(e.Field, node, back, wire.Rule{Delay: between(e, timing.Try/4, timing.Try*3/4)})
	wait(ctx, 4*timing.Heartbeat+between(e, 0, timing.Heartbeat))
	set(e.Field, node, bothWays, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }
	_, err := onKey(0, field.Service.Remove)(ctx, e)
	return heal, err
}

// chainRemoved: the key is taken from a holder that cannot hear of it, and then from its successor in the
// hold-off. The third must wait for the first, of which it never knew.
func chainRemoved(ctx context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	set(e.Field, node, bothWays, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }
	_, err := onKey(0, field.Service.Remove)(ctx, e)
	wait(ctx, between(e, 150*ms, 500*ms))
	_, second := onKey(0, field.Service.Remove)(ctx, e)
	return heal, errors.Join(err, second)
}

// cutAtTakeover: the holder ends in good order; who comes next is on a slow link, and is cut off and loses
// its key somewhere between the grant and the first write that says that it runs.
func cutAtTakeover(ctx context.Context, e *Env) (Heal, error) {
	others := otherNodes(e)
	rule := func(r wire.Rule) {
		for _, n := range others {
			set(e.Field, n, bothWays, r)
		}
	}
	rule(wire.Rule{Delay: between(e, 10*ms, 40*ms)})
	heal := func(context.Context) error { rule(wire.Rule{}); return nil }
	if err := e.Target.Guard.Signal(unix.SIGTERM); err != nil {
		return heal, err
	}
	wait(ctx, between(e, 40*ms, 500*ms))
	keys, err := e.Field.Service.Queue(ctx)
	if err != nil || len(keys) == 0 {
		return heal, tolerant(e, err)
	}
	// Nobody here knows whose key it is: one of the two is cut, which is the right one every other time.
	set(e.Field, others[e.Rand.IntN(len(others))], bothWays, wire.Rule{Drop: true})
	wait(ctx, between(e, 0, 200*ms))
	return heal, tolerant(e, e.Field.Service.Remove(ctx, keys[0]))
}

// initOverLive: an operator runs `lock init` while a holder runs that is cut off and lost its key, and
// nobody else is in the queue. The record must stay as it is.
func initOverLive(ctx context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	var paused []field.Task
	for _, c := range e.Field.Contenders {
		if r, ok := c.Now(); ok && c != e.Target.Contender && r.Agent.PID != 0 {
			paused = append(paused, r.Agent)
		}
	}
	set(e.Field, node, bothWays, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }
	errs := []error{field.Signal(unix.SIGSTOP, paused...)}
	_, err := removeAll(ctx, e)
	errs = append(errs, err, tolerant(e, e.Field.Init(ctx)), field.Signal(unix.SIGCONT, paused...))
	return heal, errors.Join(errs...)
}

func otherNodes(e *Env) []*wire.Node {
	var nodes []*wire.Node
	for _, c := range e.Field.Contenders {
		if c != e.Target.Contender {
			nodes = append(nodes, c.Node)
		}
	}
	return nodes
}
