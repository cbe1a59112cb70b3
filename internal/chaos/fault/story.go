package fault

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// stories are faults in a sequence that matters.
func stories() []Fault {
	return []Fault{
		{Name: "release-reply-lost", Class: Other, Weight: 2, Min: 100 * ms, Max: 3000 * ms, Fits: holds, Inject: releaseReplyLost},
		{Name: "join-reply-lost", Class: Watcher, Weight: 2, Min: 300 * ms, Max: 3000 * ms, Inject: joinReplyLost},
		{Name: "join-paused", Class: Watcher, Weight: 2, Min: 1500 * ms, Max: 4000 * ms, Inject: joinPaused},
		{Name: "hang-at-reconnect", Class: Other, Weight: 2, Min: 300 * ms, Max: 3000 * ms, Inject: hangAtReconnect},
		{Name: "chain", Class: Watcher, Weight: 3, Inject: chain},
		{Name: "crash-loop", Class: Watcher, Weight: 1, Inject: crashLoop},
		{Name: "cut-and-removed", Class: Other, Weight: 3, Min: 1000 * ms, Max: 4000 * ms, Fits: holds, Inject: cutAndRemoved},
		{Name: "agent-stopped-and-removed", Class: Watcher, Weight: 3, Min: 1000 * ms, Max: 4000 * ms, Fits: holdsWithAgent, Inject: stoppedAndRemoved},
		{Name: "second-task", Class: Other, Weight: 1, Min: 500 * ms, Max: 4000 * ms, Inject: secondTask},
	}
}

// releaseReplyLost: the release is carried out, the reply never comes.
func releaseReplyLost(_ context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	set(e.Field, node, back, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, back, wire.Rule{}); return nil }
	return heal, e.Target.Guard.Signal(unix.SIGTERM)
}

// joinReplyLost: a run that has just been started loses the replies of its first requests.
func joinReplyLost(ctx context.Context, e *Env) (Heal, error) {
	if err := killRun(e.Target); err != nil {
		return nil, err
	}
	wait(ctx, between(e, 50*ms, 250*ms))
	node := e.Target.Contender.Node
	set(e.Field, node, back, wire.Rule{Drop: true})
	return func(context.Context) error { set(e.Field, node, back, wire.Rule{}); return nil }, nil
}

// joinPaused: a run that has just been started stands still for longer than its session or lease lasts.
func joinPaused(ctx context.Context, e *Env) (Heal, error) {
	if err := killRun(e.Target); err != nil {
		return nil, err
	}
	wait(ctx, between(e, 60*ms, 300*ms))
	r, ok := e.Target.Contender.Now()
	if !ok || r.Agent.PID == 0 {
		return nil, nil
	}
	return func(context.Context) error { return r.Agent.Signal(unix.SIGCONT) }, r.Agent.Signal(unix.SIGSTOP)
}

// hangAtReconnect: the connections break, and the server that is dialled next hangs.
func hangAtReconnect(ctx context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	set(e.Field, node, bothWays, wire.Rule{Reject: true})
	wait(ctx, between(e, 20*ms, 150*ms))
	s := e.Field.Servers[e.Rand.IntN(len(e.Field.Servers))]
	err := s.Signal(unix.SIGSTOP)
	set(e.Field, node, bothWays, wire.Rule{})
	return func(context.Context) error { return s.Signal(unix.SIGCONT) }, err
}

// chain: the holder dies without a word, and who comes next dies in its hold-off; the third must neither
// cut the wait short nor start it over.
func chain(ctx context.Context, e *Env) (Heal, error) {
	err := killRun(e.Target)
	for range 2 {
		wait(ctx, e.scaled(between(e, 1500*ms, 3500*ms)))
		err = errors.Join(err, killAny(e))
	}
	return nil, err
}

// crashLoop: somebody dies faster than the hold, for a while.
func crashLoop(ctx context.Context, e *Env) (Heal, error) {
	var err error
	for end := time.Now().Add(e.scaled(8 * time.Second)); time.Now().Before(end) && ctx.Err() == nil; {
		err = errors.Join(err, killAny(e))
		wait(ctx, e.scaled(between(e, 300*ms, 1200*ms)))
	}
	return nil, err
}

// killAny kills all of one contender's run.
func killAny(e *Env) error {
	c := e.Field.Contenders[e.Rand.IntN(len(e.Field.Contenders))]
	r, ok := c.Now()
	if !ok {
		return nil
	}
	return killRun(r)
}

func between(e *Env, low, high time.Duration) time.Duration {
	return low + time.Duration(e.Rand.Int64N(int64(high-low)+1))
}

// secondTask: an orchestrator that lost sight of a task starts it anew, under the same name, beside the old.
func secondTask(_ context.Context, e *Env) (Heal, error) {
	end, err := e.Target.Contender.Second()
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return end() }, nil
}

func holdsWithAgent(e *Env) bool { return holds(e) && hasAgent(e) }

// cutAndRemoved: the key is taken from a holder that cannot hear of it. Only the hold-off keeps the
// successor from starting beside it.
func cutAndRemoved(ctx context.Context, e *Env) (Heal, error) {
	node := e.Target.Contender.Node
	set(e.Field, node, bothWays, wire.Rule{Drop: true})
	heal := func(context.Context) error { set(e.Field, node, bothWays, wire.Rule{}); return nil }
	wait(ctx, between(e, 0, 150*ms))
	_, err := onKey(0, field.Service.Remove)(ctx, e)
	return heal, err
}

// stoppedAndRemoved is the same with an agent that stands still; the guard's deadline is all there is.
func stoppedAndRemoved(ctx context.Context, e *Env) (Heal, error) {
	heal, err := stop(agent)(ctx, e)
	if err != nil {
		return heal, err
	}
	wait(ctx, between(e, 0, 150*ms))
	_, err = onKey(0, field.Service.Remove)(ctx, e)
	return heal, err
}
