package zk

import (
	"context"
	"errors"
	"fmt"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/lock"
)

// version is the store's own: setData compares Version, mzxid never comes twice.
func version(stat *gozk.Stat) lock.Version {
	return lock.Version{CAS: int64(stat.Version) + 1, Seen: stat.Mzxid}
}

// aboutRecord explains why the record cannot be used.
func (p *place) aboutRecord(ctx context.Context, l *link, err error, what string) error {
	if errors.Is(err, gozk.ErrNoAuth) {
		return p.d.errorf(lock.ErrCredentials, "%s %s, which belongs to %s: %s: %w",
			what, p.d.record, owner(ctx, l, p.d.record), p.d.ident.denied(), err)
	}
	return p.d.explain(err, what)
}

// Read is T1: a write on the own key goes through the quorum, so the read behind it on the same
// connection shows everything that was committed before it.
func (p *place) Read(ctx context.Context) (lock.Stored, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	l, err := p.s.link(ctx)
	if err != nil {
		return lock.Stored{}, p.d.explain(err, "read the state record")
	}
	stat, err := p.touch(ctx, l)
	if err != nil {
		return lock.Stored{}, p.d.explain(err, "write our key before reading the state record")
	}
	if err := p.check(stat); err != nil {
		return lock.Stored{}, err
	}
	stored, err := p.d.stored(ctx, l)
	if err != nil {
		return lock.Stored{}, p.aboutRecord(ctx, l, err, "read the state record")
	}
	return stored, nil
}

// stored reads the record on one connection; zero only if the server says that there is none.
func (d *driver) stored(ctx context.Context, l *link) (lock.Stored, error) {
	data, stat, err := get(ctx, l, d.record)
	if errors.Is(err, gozk.ErrNoNode) {
		return lock.Stored{}, nil
	}
	if err != nil {
		return lock.Stored{}, err
	}
	return lock.Stored{Data: data, Version: version(stat)}, nil
}

// Write replaces the record while the own key is there.
func (p *place) Write(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return p.guarded(ctx, data, after, false)
}

// Release is Write that deletes the own key in the same transaction.
func (p *place) Release(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	r, err := p.guarded(ctx, data, after, true)
	if r.Outcome == lock.Committed {
		p.deleted()
		p.over(true)
	}
	return r, err
}

// guarded is one try (W2), its re-read included.
func (p *place) guarded(ctx context.Context, data []byte, after lock.Version, release bool) (lock.Result, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	l, err := p.s.link(ctx)
	if errors.Is(err, errExpired) || errors.Is(err, errClosed) {
		return p.askAnew(ctx, err)
	}
	if err != nil {
		return lock.Result{}, p.d.explain(err, "write the state record")
	}
	t := p.transaction(data, after, release)
	got, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.MultiResponse, error) { return c.Multi(t.ops...) })
	return p.outcome(ctx, l, t, got, err)
}

// A transaction is the request, and where in it the record is written: behind the guards.
type transaction struct {
	ops    []any
	guards int
	create bool
}

// guards check that our nodes are there.
func (p *place) guards() []any {
	var ops []any
	if mutate.Broken("unconditional-heartbeat") { // W1: only while the own lock key is there
		return nil
	}
	for _, node := range p.nodes() {
		ops = append(ops, &gozk.CheckVersionRequest{Path: node, Version: -1})
	}
	return ops
}

// transaction builds W1's. An absent record is created empty and then written in the same transaction,
// because only the reply to setData tells the exact version.
func (p *place) transaction(data []byte, after lock.Version, release bool) transaction {
	t := transaction{ops: p.guards(), create: after == lock.Version{}}
	t.guards = len(t.ops)
	set := &gozk.SetDataRequest{Path: p.d.record, Data: append([]byte{}, data...), Version: int32(after.CAS - 1)}
	if t.create {
		set.Version = 0
		t.ops = append(t.ops, &gozk.CreateRequest{Path: p.d.record, Data: []byte{}, Acl: p.d.ident.acl()})
	}
	t.ops = append(t.ops, set)
	if release {
		for _, node := range p.nodes() {
			t.ops = append(t.ops, &gozk.DeleteRequest{Path: node, Version: -1})
		}
	}
	return t
}

// outcome reads the reply. Only a reply without any error is a commit; only NoNode on the guard says
// that the key is gone.
func (p *place) outcome(ctx context.Context, l *link, t transaction, got []gozk.MultiResponse, err error) (lock.Result, error) {
	if err == nil {
		return p.committed(t, got)
	}
	at, cause := firstError(got)
	moved := t.create && errors.Is(cause, gozk.ErrNodeExists) || !t.create && errors.Is(cause, gozk.ErrBadVersion)
	switch {
	case at >= 0 && at < t.guards && errors.Is(cause, gozk.ErrNoNode):
		p.deleted()
		return lock.Result{Outcome: lock.KeyGone}, nil
	case at == t.guards && moved:
		return p.reread(ctx, l)
	case at == t.guards && !t.create && errors.Is(cause, gozk.ErrNoNode):
		return lock.Result{Outcome: lock.Missing}, nil
	}
	return lock.Result{}, p.aboutRecord(ctx, l, err, "write the state record")
}

func (p *place) committed(t transaction, got []gozk.MultiResponse) (lock.Result, error) {
	at := t.guards
	if t.create {
		at++
	}
	if len(got) != len(t.ops) || got[at].Stat == nil {
		return lock.Result{}, p.d.errorf(lock.ErrUnreachable, "write the state record: the reply has %d parts, expected %d", len(got), len(t.ops))
	}
	return lock.Result{Outcome: lock.Committed, Version: version(got[at].Stat)}, nil
}

// firstError finds the operation that failed the transaction: those before it carry no error, those
// behind it only that they were not tried.
func firstError(got []gozk.MultiResponse) (int, error) {
	for i, g := range got {
		if g.Error != nil {
			return i, g.Error
		}
	}
	return -1, nil
}

// reread follows a refusal by version. The refused transaction went through the quorum, so what this
// connection shows now is at least as new.
func (p *place) reread(ctx context.Context, l *link) (lock.Result, error) {
	stored, err := p.d.stored(ctx, l)
	switch {
	case err != nil:
		return lock.Result{}, p.aboutRecord(ctx, l, err, "read the state record again")
	case !stored.Exists():
		return lock.Result{Outcome: lock.Missing}, nil
	}
	return lock.Result{Outcome: lock.Moved, Current: stored}, nil
}

// askAnew follows the end of our session: whether the key is gone is the service's to say, so a guard
// without a write is sent in a session of its own.
func (p *place) askAnew(ctx context.Context, cause error) (lock.Result, error) {
	gone := false
	err := p.d.onSession(ctx, func(ctx context.Context, _ *session, l *link) error {
		got, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.MultiResponse, error) {
			return c.Multi(&gozk.CheckVersionRequest{Path: p.key, Version: -1})
		})
		at, first := firstError(got)
		gone = at == 0 && errors.Is(first, gozk.ErrNoNode)
		if gone {
			return nil
		}
		return err
	})
	if gone {
		p.deleted()
		return lock.Result{Outcome: lock.KeyGone}, nil
	}
	if err == nil {
		err = fmt.Errorf("key %s is still there", p.me.name)
	}
	return lock.Result{}, p.d.errorf(lock.ErrUnreachable, "write the state record: %w; %w", cause, passing{err})
}
