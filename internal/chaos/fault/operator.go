package fault

import (
	"context"
	"errors"

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
			return nil, tolerant(e, err)
		}
		return nil, tolerant(e, do(e.Field.Service, ctx, keys[min(n, len(keys)-1)]))
	}
}

func revoke(s field.Service, ctx context.Context, k field.Key) error {
	return s.(*field.Etcd).Revoke(ctx, k)
}

func removeAll(ctx context.Context, e *Env) (Heal, error) {
	keys, err := e.Field.Service.Queue(ctx)
	for _, k := range keys {
		err = errors.Join(err, e.Field.Service.Remove(ctx, k))
	}
	return nil, tolerant(e, err)
}

func removeRecord(ctx context.Context, e *Env) (Heal, error) {
	return nil, tolerant(e, e.Field.Service.RemoveRecord(ctx))
}
