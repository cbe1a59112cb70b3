package zk

import (
	"context"
	"errors"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// View looks in a session of its own, after a sync, and leaves nothing behind.
func (d *driver) View(ctx context.Context) (lock.View, error) {
	var v lock.View
	err := d.onSession(ctx, func(ctx context.Context, _ *session, l *link) error {
		names, err := children(ctx, l, d.path, true)
		if err != nil {
			return d.explain(err, "list "+d.path)
		}
		if v.Queue, err = d.waiters(ctx, l, names); err != nil {
			return err
		}
		return d.viewRecord(ctx, l, &v)
	})
	if err != nil {
		return lock.View{}, err
	}
	return v, nil
}

// waiters describes the contenders in order; those that go meanwhile are left out.
func (d *driver) waiters(ctx context.Context, l *link, names []string) ([]lock.Waiter, error) {
	var all []lock.Waiter
	for _, m := range queue(names, reference(names)) {
		node := d.path + "/" + m.name
		data, stat, err := get(ctx, l, node)
		if errors.Is(err, gozk.ErrNoAuth) {
			data = []byte("(its ACL does not let us read it)")
			stat, err = exists(ctx, l, node)
		}
		switch {
		case errors.Is(err, gozk.ErrNoNode) || err == nil && stat == nil:
		case err != nil:
			return nil, d.explain(err, "read key "+m.name)
		default:
			all = append(all, waiter(m.name, data, stat))
		}
	}
	return all, nil
}

func (d *driver) viewRecord(ctx context.Context, l *link, v *lock.View) error {
	data, stat, err := get(ctx, l, d.record)
	switch {
	case errors.Is(err, gozk.ErrNoNode):
		return nil
	case err != nil:
		return d.explain(err, "read the state record "+d.record)
	}
	v.Record = lock.Stored{Data: data, Version: version(stat)}
	v.RecordAge = max(time.Since(time.UnixMilli(stat.Mtime)), 0)
	return nil
}
