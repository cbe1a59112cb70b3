package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// neighbours are what the queue was when we came, for Unbroken. None can come between later.
type neighbours struct {
	before int64 // the parent's cversion before our own create, or a later one
	ahead  []neighbour
}

// A neighbour is one key ahead of ours.
type neighbour struct {
	token   int64
	foreign bool // or not known
}

// createPair makes the key and its twin in one transaction.
func (p *place) createPair(ctx context.Context, l *link, prefix string) (string, error) {
	var ops []any
	for _, name := range []string{prefix, twinPrefix(prefix)} {
		ops = append(ops, &gozk.CreateRequest{Path: p.d.path + "/" + name, Data: p.value, Acl: p.d.ident.acl(), Flags: gozk.FlagEphemeralSequential})
	}
	made, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.MultiResponse, error) { return c.Multi(ops...) })
	if _, first := firstError(made); first != nil {
		return "", first
	}
	if err == nil && len(made) != len(ops) {
		err = fmt.Errorf("the reply to the create has %d parts, expected %d", len(made), len(ops))
	}
	if err != nil {
		return "", err
	}
	return made[0].String, nil
}

// lookAround looks at the keys of other programs, once: none can come ahead of ours later. Only beside
// foreign peers it needs to know more of our own kind than the name tells: their tokens, for Unbroken. The
// first and the last of those ahead are read all the same: whose rights differ from ours shows there.
func (p *place) lookAround(ctx context.Context, l *link) error {
	names, stat, err := listing(ctx, l, p.d.path, false)
	if err != nil {
		return p.d.explain(err, "list "+p.d.path)
	}
	if err := p.refuseUnknown(names); err != nil {
		return err
	}
	q := queue(names, p.me.seq)
	near := neighbours{before: int64(stat.Cversion) - int64(len(p.nodes()))}
	ahead := q[:max(position(q, p.me.name), 0)]
	for i, m := range ahead {
		if !p.d.set.Foreign && m.sealed() && i > 0 && i < len(ahead)-1 {
			continue // a read for each of a thousand would be half a million in all
		}
		n, err := p.neighbour(ctx, l, m.name)
		if err != nil {
			return err
		}
		near.ahead = append(near.ahead, n)
	}
	p.near = near
	return nil
}

// refuseUnknown refuses contenders of a recipe that we do not know: it cannot honour our keys, nor we its,
// wherever in the queue it stands.
func (p *place) refuseUnknown(names []string) error {
	for _, name := range names {
		if _, known := parseMember(name); known || isTwin(name) || !sequential(name) {
			continue
		}
		return p.d.errorf(lock.ErrConfig, "key %s was made by another program whose recipe does not honour our keys (known are Curator's InterProcessMutex, go-zookeeper and kazoo's Lock): end it, or take another path", name)
	}
	return nil
}

// neighbour looks at one key ahead, and refuses that of another program unless those are permitted.
func (p *place) neighbour(ctx context.Context, l *link, name string) (neighbour, error) {
	data, stat, err := get(ctx, l, p.d.path+"/"+name)
	switch {
	case errors.Is(err, gozk.ErrNoNode):
		return neighbour{foreign: true}, nil // nobody knows any more
	case errors.Is(err, gozk.ErrNoAuth) && p.d.set.Foreign:
		return neighbour{foreign: true}, nil
	case errors.Is(err, gozk.ErrNoAuth):
		return neighbour{}, p.d.errorf(lock.ErrCredentials, "key %s ahead of ours belongs to %s: all contenders of a lock need the same user, %s",
			name, owner(ctx, l, p.d.path+"/"+name), p.d.ident.denied())
	case err != nil:
		return neighbour{}, p.d.explain(err, "read key "+name)
	case !ours(data) && !p.d.set.Foreign:
		return neighbour{}, fmt.Errorf("%s: %w", p.d.name, lock.ForeignAhead(waiter(name, data, stat)))
	}
	return neighbour{stat.Czxid, !ours(data)}, nil
}

// Reset attaches the session to a new connection: that, and its creation, are what makes the server count
// its time anew for sure. A follower that is cut from the quorum answers pings, reads, and even accepts the
// session, so one transaction must be acknowledged on that same connection.
func (p *place) Reset(ctx context.Context) (lock.Proof, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	l, err := p.s.renewed(ctx, p.d.set.Timing.Heartbeat)
	if err != nil {
		return lock.Proof{}, p.d.explain(err, "attach the session anew")
	}
	got, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.MultiResponse, error) { return c.Multi(p.guards()...) })
	if at, first := firstError(got); at >= 0 && errors.Is(first, gozk.ErrNoNode) {
		p.deleted()
		return lock.Proof{}, p.check(nil)
	}
	if err != nil {
		return lock.Proof{}, p.d.explain(err, "confirm the session")
	}
	return lock.Proof{From: l.attached, For: l.granted}, nil
}

// Mark is the parent's cversion once our release has deleted our nodes, if nothing else changes there
// before. If something does, the number is passed for ever and proves nothing any more.
func (p *place) Mark(ctx context.Context) (int64, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	l, err := p.s.link(ctx)
	if err != nil {
		return 0, p.d.explain(err, "look at the queue")
	}
	stat, err := exists(ctx, l, p.d.path)
	if err != nil || stat == nil {
		return 0, p.d.explain(err, "look at the queue")
	}
	return int64(stat.Cversion) + int64(len(p.nodes())), nil
}

// Unbroken goes by what the queue was when we came. Either nothing was created or deleted in it since the
// release, or the key of the record's writer was still there. Behind it, and ahead of us, no key of another
// program may have been.
func (p *place) Unbroken(_ context.Context, e lock.Evidence) (bool, error) {
	if e.Mark != 0 && p.near.before == e.Mark {
		return !slices.ContainsFunc(p.near.ahead, neighbour.other), nil
	}
	writer := slices.IndexFunc(p.near.ahead, func(n neighbour) bool { return n.token == e.Token && n.token != 0 })
	return writer >= 0 && !slices.ContainsFunc(p.near.ahead[writer:], neighbour.other), nil
}

func (n neighbour) other() bool { return n.foreign }

var _ lock.SharedPlace = (*place)(nil)
