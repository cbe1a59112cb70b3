package zk

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// Join opens a session and puts its key into the queue. A session that was lost before the key was sure
// is no place yet: another one is tried within the same bound.
func (d *driver) Join(ctx context.Context) (lock.Place, error) {
	bounded, cancel := d.bound(ctx)
	defer cancel()
	for {
		p, err := d.join(bounded)
		switch {
		case err == nil:
			return p, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, ctx.Err()
		case errors.Is(err, lock.ErrPlaceLost) && bounded.Err() == nil:
			d.set.Log("zk join begins anew", "error", err)
		case known(err) && !errors.Is(err, lock.ErrPlaceLost):
			return nil, err
		default:
			return nil, d.errorf(lock.ErrUnreachable, "join: %w", passing{err})
		}
	}
}

func (d *driver) join(ctx context.Context) (lock.Place, error) {
	p := &place{d: d, gone: make(chan struct{})}
	p.Pulse()
	p.s = d.newSession(p.overdue)
	err := p.enter(ctx)
	if err == nil && !d.adopt(p) {
		err = d.errorf(lock.ErrUnreachable, "join: %w", errClosed)
	}
	if err != nil {
		p.s.end(errClosed, true)
		return nil, err
	}
	p.Pulse()
	p.watch.Go(p.watchEnd)
	return p, nil
}

// enter creates the key. A create whose reply was lost is looked for by its uuid on the next
// connection, before another is tried: two keys of one session would wait for each other.
func (p *place) enter(ctx context.Context) error {
	value, err := p.d.value()
	if err != nil {
		return err
	}
	p.value = value
	var tried []string
	for {
		l, err := p.s.link(ctx)
		if err != nil {
			return p.d.explain(err, "join")
		}
		if err = p.enterOn(ctx, l, &tried); err == nil {
			return nil
		}
		if ctx.Err() != nil || definite(err) {
			return err
		}
		p.d.set.Log("zk join tried again", "error", err)
		l.wire.cut(err) // what is in flight there dies with it
	}
}

// enterOn does the whole of it on one connection.
func (p *place) enterOn(ctx context.Context, l *link, tried *[]string) error {
	name, err := p.find(ctx, l, *tried)
	if err == nil && name == "" {
		name, err = p.create(ctx, l, tried)
	}
	if err != nil {
		return err
	}
	m, ok := parseMember(path.Base(name))
	if !ok {
		return p.d.errorf(lock.ErrConfig, "the service named our key %q: expected a sequence number at its end", name)
	}
	p.me, p.key = m, p.d.path+"/"+m.name
	if p.d.set.Foreign {
		p.twin = p.d.path + "/" + m.twin()
	}
	stat, err := exists(ctx, l, p.key)
	if err != nil {
		return p.d.explain(err, "read our key")
	}
	if err := p.check(stat); err != nil {
		return err
	}
	p.token = stat.Czxid
	return p.lookAround(ctx, l)
}

// find looks for a key of an earlier try. The list comes after a sync on the connection that attached
// the session last, so no earlier request of the session can still land behind it.
func (p *place) find(ctx context.Context, l *link, tried []string) (string, error) {
	if len(tried) == 0 {
		return "", nil
	}
	names, err := children(ctx, l, p.d.path, true)
	if err != nil {
		return "", p.d.explain(err, "look for our key")
	}
	for _, n := range names {
		if slices.ContainsFunc(tried, func(prefix string) bool { return strings.HasPrefix(n, prefix) }) {
			return n, nil
		}
	}
	return "", nil
}

// children lists a node; none if the server says that it does not exist.
func children(ctx context.Context, l *link, node string, fresh bool) ([]string, error) {
	names, _, err := listing(ctx, l, node, fresh)
	if errors.Is(err, gozk.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// listing is the children of a node, and the node's own numbers at that moment.
func listing(ctx context.Context, l *link, node string, fresh bool) ([]string, *gozk.Stat, error) {
	type content struct {
		names []string
		stat  *gozk.Stat
	}
	r, err := call(ctx, l, func(c *gozk.Conn) (content, error) {
		if fresh {
			if _, err := c.Sync(node); err != nil {
				return content{}, err
			}
		}
		names, stat, err := c.Children(node)
		return content{names, stat}, err
	})
	return r.names, r.stat, err
}

// create makes the key, and the nodes above it where they are missing.
func (p *place) create(ctx context.Context, l *link, tried *[]string) (string, error) {
	made, err := p.createKey(ctx, l, tried)
	if errors.Is(err, gozk.ErrNoNode) {
		if err := p.createParents(ctx, l); err != nil {
			return "", err
		}
		made, err = p.createKey(ctx, l, tried)
	}
	if errors.Is(err, gozk.ErrNoAuth) {
		return "", p.d.errorf(lock.ErrCredentials, "create a key below %s, which belongs to %s: %s: %w",
			p.d.path, owner(ctx, l, p.d.path), p.d.ident.denied(), err)
	}
	if errors.Is(err, gozk.ErrNoChildrenForEphemerals) {
		return "", p.d.errorf(lock.ErrConfig, "%s is an ephemeral node of another program: take another path", p.d.path)
	}
	return made, p.d.explain(err, "create our key")
}

func (p *place) createKey(ctx context.Context, l *link, tried *[]string) (string, error) {
	prefix := freshPrefix()
	*tried = append(*tried, prefix)
	if p.d.set.Foreign {
		return p.createPair(ctx, l, prefix)
	}
	return create(ctx, l, p.d.path+"/"+prefix, p.value, gozk.FlagEphemeralSequential, p.d.ident.acl())
}

func create(ctx context.Context, l *link, node string, data []byte, flags int32, acl []gozk.ACL) (string, error) {
	return call(ctx, l, func(c *gozk.Conn) (string, error) { return c.Create(node, data, flags, acl) })
}

// createParents makes the lock's node and those above it, persistent.
func (p *place) createParents(ctx context.Context, l *link) error {
	parts := strings.Split(p.d.path[1:], "/")
	for i := range parts {
		node, acl := "/"+strings.Join(parts[:i+1], "/"), p.d.ident.parentACL()
		if node == p.d.path {
			acl = p.d.ident.acl()
		}
		_, err := create(ctx, l, node, nil, gozk.FlagPersistent, acl)
		switch {
		case err == nil || errors.Is(err, gozk.ErrNodeExists):
		case errors.Is(err, gozk.ErrNoAuth):
			above := path.Dir(node)
			there, errThere := exists(ctx, l, node)
			if errThere == nil && there != nil {
				continue // the right to create is asked before the name: nothing to create here
			}
			return p.d.errorf(lock.ErrCredentials, "create %s below %s, which belongs to %s: %s: %w",
				node, above, owner(ctx, l, above), p.d.ident.denied(), err)
		default:
			return p.d.explain(err, "create "+node)
		}
	}
	return nil
}

// get reads a node.
func get(ctx context.Context, l *link, node string) ([]byte, *gozk.Stat, error) {
	type content struct {
		data []byte
		stat *gozk.Stat
	}
	c, err := call(ctx, l, func(c *gozk.Conn) (content, error) {
		data, stat, err := c.Get(node)
		return content{data, stat}, err
	})
	return c.data, c.stat, err
}
