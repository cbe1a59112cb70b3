package fault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

// victims picks processes of the target.
type victims func(*Env) []field.Task

func guard(e *Env) []field.Task { return []field.Task{e.Target.Guard} }
func agent(e *Env) []field.Task { return []field.Task{e.Target.Agent} }
func both(e *Env) []field.Task  { return []field.Task{e.Target.Agent, e.Target.Guard} }
func inner(e *Env) []field.Task { return []field.Task{e.Target.Init} }
func tree(e *Env) []field.Task  { return e.Target.Payloads }

// one is a member of the payload's tree.
func one(e *Env) []field.Task {
	if len(e.Target.Payloads) == 0 {
		return nil
	}
	return []field.Task{e.Target.Payloads[e.Rand.IntN(len(e.Target.Payloads))]}
}

func processes() []Fault {
	return []Fault{
		{Name: "kill-guard", Class: Watcher, Weight: 3, Inject: kill(guard)},
		{Name: "kill-agent", Class: Watcher, Weight: 3, Fits: hasAgent, Inject: kill(agent)},
		// In a cgroup alone nobody is left who could kill: the start log says so.
		{Name: "kill-both", Class: Watcher, Weight: 3, Fits: inPIDNS, Inject: killAtOnce(both)},
		{Name: "kill-all", Class: Watcher, Weight: 1, Inject: func(_ context.Context, e *Env) (Heal, error) { return nil, killRun(e.Target) }},
		{Name: "kill-init", Class: Other, Weight: 1, Fits: inPIDNS, Inject: kill(inner)},
		{Name: "kill-payload", Class: Other, Weight: 2, Fits: holds, Inject: kill(one)},
		{Name: "stop-guard", Class: Watcher, Weight: 3, Min: 50 * ms, Max: 6000 * ms, Inject: stop(guard)},
		{Name: "stop-agent", Class: Watcher, Weight: 3, Min: 50 * ms, Max: 6000 * ms, Fits: hasAgent, Inject: stop(agent)},
		{Name: stopBoth, Class: Watcher, Weight: 2, Min: 20 * ms, Max: BothStopped, Fits: hasAgent, Inject: stop(both)},
		{Name: "stop-payload", Class: Other, Weight: 2, Min: 50 * ms, Max: 5000 * ms, Fits: holds, Inject: stop(tree)},
		{Name: "stop-init", Class: Other, Weight: 1, Min: 50 * ms, Max: 5000 * ms, Fits: inPIDNS, Inject: stop(inner)},
		{Name: "freeze-payload", Class: Other, Weight: 2, Min: 50 * ms, Max: 5000 * ms, Fits: frozenByCgroup, Inject: freeze},
		{Name: "stall", Class: Watcher, Weight: 2, Min: 2500 * ms, Max: 5000 * ms, Fits: holds, Inject: stall},
		{Name: "term", Class: Other, Weight: 2, Inject: term},
		{Name: "mesos-kill", Class: Watcher, Weight: 2, Min: 200 * ms, Max: 3000 * ms, Inject: mesos},
	}
}

const stopBoth = "stop-both"

// BothStopped is how long guard and agent may be stopped at once at the quick timing: the last heartbeat
// before it may be a period and a try old, and who goes on must do so before the kill is overdue.
const BothStopped = 900 * ms

// kill sends SIGKILL.
func kill(v victims) func(context.Context, *Env) (Heal, error) {
	return func(_ context.Context, e *Env) (Heal, error) { return nil, field.Signal(unix.SIGKILL, v(e)...) }
}

// killAtOnce stops them first: the survivor of the moment in between would know what to do.
func killAtOnce(v victims) func(context.Context, *Env) (Heal, error) {
	return func(_ context.Context, e *Env) (Heal, error) {
		return nil, errors.Join(field.Signal(unix.SIGSTOP, v(e)...), field.Signal(unix.SIGKILL, v(e)...))
	}
}

// stop sends SIGSTOP, and SIGCONT as the heal.
func stop(v victims) func(context.Context, *Env) (Heal, error) {
	return func(_ context.Context, e *Env) (Heal, error) {
		hit := v(e)
		resume := func(context.Context) error { return field.Signal(unix.SIGCONT, hit...) }
		return resume, field.Signal(unix.SIGSTOP, hit...)
	}
}

// killRun kills all of a run, those too that it is just starting.
func killRun(r field.Run) error {
	all, err := r.Halt()
	return errors.Join(err, field.Signal(unix.SIGKILL, all...))
}

// stall stops all of it, as a paused container or a suspended laptop is; the payload first and last, so
// that it never runs without its watchers but for the moment that is being measured.
func stall(_ context.Context, e *Env) (Heal, error) {
	e.Stall = true
	hit, err := e.Target.Halt()
	resume := func(context.Context) error { return field.Signal(unix.SIGCONT, hit...) }
	return resume, err
}

func term(_ context.Context, e *Env) (Heal, error) { return nil, e.Target.Guard.Signal(unix.SIGTERM) }

// mesos is the executor's kill: STOP to every process of the tree, TERM, CONT, and KILL after the grace.
func mesos(_ context.Context, e *Env) (Heal, error) {
	all := e.Target.All()
	var errs []error
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGTERM, unix.SIGCONT} {
		errs = append(errs, field.Signal(sig, all...))
	}
	heal := func(context.Context) error { // the executor walks the tree again
		return errors.Join(killRun(e.Target), field.Signal(unix.SIGKILL, all...))
	}
	return heal, errors.Join(errs...)
}

func frozenByCgroup(e *Env) bool {
	return len(e.Target.Payloads) > 0 && field.Cgroup(e.Target.Payloads[0]) != ""
}

// freeze uses the payload's own cgroup. The group may be gone at the heal, with those in it.
func freeze(_ context.Context, e *Env) (Heal, error) {
	switchFile := filepath.Join(field.Cgroup(e.Target.Payloads[0]), "cgroup.freeze")
	set := func(value string) error {
		f, err := os.OpenFile(switchFile, os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(value)
		if errors.Is(err, unix.ENODEV) {
			err = nil
		}
		return errors.Join(err, f.Close())
	}
	return func(context.Context) error { return set("0") }, set("1")
}

func canFreezeV1(e *Env) bool { return field.HasFreezer() && holds(e) && len(e.Target.Payloads) > 0 }

// freezeV1 uses the old freezer, in which not even SIGKILL is heard.
func freezeV1(_ context.Context, e *Env) (Heal, error) {
	thaw, err := e.Field.Freeze(e.Target.Payloads...)
	if thaw == nil {
		return nil, err
	}
	return func(context.Context) error { return thaw() }, err
}

// wait is a pause inside a fault.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
