package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

var errClosed = fmt.Errorf("%w: etcd: the connection was closed by ourselves", lock.ErrUnreachable)

// do makes one call: on one server, with one request, within the bound of a try. WithRequireLeader makes
// a member that lost its quorum say so at once.
func (d *driver) do(ctx context.Context, call func(context.Context, *endpoint) error) error {
	if d.ctx.Err() != nil {
		return errClosed
	}
	try, cancel := context.WithTimeout(ctx, d.bound)
	defer cancel()
	e, err := d.conns.pick(try)
	if err != nil {
		return d.explain(ctx, nil, err)
	}
	return d.on(clientv3.WithRequireLeader(try), ctx, e, call)
}

// on makes the call on the server given; ctx is the caller's.
func (d *driver) on(try, ctx context.Context, e *endpoint, call func(context.Context, *endpoint) error) error {
	began := time.Now() // for the choice of the server only, never for the lease
	err := d.authorized(try, e, call)
	if err == nil {
		return nil
	}
	d.conns.judge(e, err, time.Since(began))
	return d.explain(ctx, e, err)
}

// authorized renews a token that the server refused and then sends once more. That is no repetition in
// the sense of W2: the refusal is the server's proof that it did not execute the first request.
func (d *driver) authorized(ctx context.Context, e *endpoint, call func(context.Context, *endpoint) error) error {
	if err := d.login.ensure(ctx, e.client); err != nil {
		return err
	}
	token, _ := d.login.current()
	err := call(ctx, e)
	if !d.staleLogin(err) {
		return err
	}
	if d.login.user != "" {
		if err := d.login.renew(ctx, e.client, token); err != nil {
			return err
		}
	}
	return call(ctx, e)
}

// staleLogin tells a refusal that a new token, or for a certificate just another try, may cure.
func (d *driver) staleLogin(err error) bool {
	err = rpctypes.Error(err)
	if errors.Is(err, rpctypes.ErrAuthOldRevision) {
		return true
	}
	return d.login.user != "" && (errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrUserEmpty))
}
