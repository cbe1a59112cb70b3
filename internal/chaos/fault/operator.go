package fault

import (
	"context"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

func operators() []Fault {
	return []Fault{
		{Name: "remove-holders-key", Class: Other, Weight: 3, Inject: onKey(0, field.Service.Remove)},
		{Name: "remove-waiters-key", Class: Other, Weight: 1, Inject: onKey(1, field.Service.Remove)},
		{Name: "remove-all-keys", Class: Other, Weight: 1, Inject: removeAll},
		{Name: "revoke-lease", Class: Other, Weight: 2, Fits: isEtcd, Inject: onKey(0, revoke)},
		{Name: "remove-record", Class: Other, Weight: 3, Inject: removeRecord},
	}
}

// onKey does something to the nth key of the queue, or to the last one where it is shorter.
func onKey(n int, do func(field.Service, context.Context, field.Key) error) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, e *Env) (Heal, error) {
		keys, err := e.Field.Service.Queue(ctx)
		if err != nil || len(keys) == 0 {
			return nil, err
		}
		return nil, do(e.Field.Service, ctx, keys[min(n, len(keys)-1)])
	}
}

func revoke(s field.Service, ctx context.Context, k field.Key) error {
	return s.(*field.Etcd).Revoke(ctx, k)
}

func removeAll(ctx context.Context, e *Env) (Heal, error) {
	keys, err := e.Field.Service.Queue(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := e.Field.Service.Remove(ctx, k); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func removeRecord(ctx context.Context, e *Env) (Heal, error) {
	return nil, e.Field.Service.RemoveRecord(ctx)
}
