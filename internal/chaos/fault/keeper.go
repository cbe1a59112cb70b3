package fault

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

// later are those that came after the first seeds were written down.
func later() []Fault {
	return []Fault{
		{Name: "freeze-payload-v1", Class: Other, Weight: 2, Min: 50 * ms, Max: 5000 * ms, Fits: canFreezeV1, Inject: freezeV1},
		{Name: "stuck-payload", Class: Alone, Weight: 2, Min: 1000 * ms, Max: 5000 * ms, Fits: canStick, Inject: stick(unix.SIGTERM)},
	}
}

// keepers are what an operator of etcd does to the whole service.
func keepers() []Fault {
	return []Fault{
		{Name: "etcd-nospace", Class: Other, Weight: 1, Min: 500 * ms, Max: 4000 * ms, Fits: isEtcd, Inject: toggled((*field.Etcd).Alarm)},
		{Name: "etcd-auth", Class: Other, Weight: 1, Min: 500 * ms, Max: 4000 * ms, Fits: isOpen, Inject: toggled((*field.Etcd).Auth)},
		{Name: "etcd-compact", Class: Other, Weight: 1, Fits: isEtcd,
			Inject: func(ctx context.Context, e *Env) (Heal, error) {
				return nil, tolerant(e, (e.Field.Service.(*field.Etcd)).Compact(ctx))
			}},
	}
}

// isOpen: authentication is off.
func isOpen(e *Env) bool { return isEtcd(e) && !e.Field.Service.(*field.Etcd).Secured() }

// toggled switches something on, and off as the heal.
func toggled(set func(*field.Etcd, context.Context, bool) error) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, e *Env) (Heal, error) {
		etcd := e.Field.Service.(*field.Etcd)
		heal := func(ctx context.Context) error { return again(ctx, func() error { return set(etcd, ctx, false) }) }
		return heal, tolerant(e, set(etcd, ctx, true))
	}
}

// tolerant: beside another fault the service may be unable to do what its operator asks for. That is no
// failure of the harness; the fault is then as small as it is.
func tolerant(e *Env, err error) error {
	if err != nil {
		e.Field.Log.Info("the operator's order was not carried out", "err", err)
	}
	return nil
}

// again tries until it works: a heal must.
func again(ctx context.Context, do func() error) error {
	tick := time.NewTicker(200 * ms)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
