package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A renewal is the two replies of Reset, and the stamp taken before the first request.
type renewal struct {
	from  clock.Stamp
	lease *pb.LeaseKeepAliveResponse
	key   *clientv3.GetResponse
}

// Reset renews the lease and then reads our key linearizably, on one server. The member that answers notes
// its term before the lease is renewed; the read goes through the quorum. So the same term in both says
// that nobody but the member that renewed can have counted the lease until then. One that takes its place
// later gives the whole time anew.
func (p *place) Reset(ctx context.Context) (lock.Proof, error) {
	var r renewal
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		var err error
		r.from = p.d.s.Clock()
		if r.lease, err = p.renewOnce(ctx, e); err == nil {
			r.key, err = e.client.Get(ctx, p.key)
		}
		return err
	})
	if err != nil {
		return lock.Proof{}, err
	}
	return p.judge(r)
}

// errProof: the replies were fine and prove nothing.
var errProof = errors.New("etcd: the renewal of the lease proves nothing")

func (p *place) judge(r renewal) (lock.Proof, error) {
	before, after := r.lease.GetHeader().GetRaftTerm(), r.key.Header.GetRaftTerm()
	switch {
	case r.lease.GetTTL() <= 0:
		p.markGone()
		return lock.Proof{}, errLeaseGone
	case len(r.key.Kvs) != 1 || r.key.Kvs[0].CreateRevision != p.raw:
		p.markGone()
		return lock.Proof{}, fmt.Errorf("%w: our key %s is not there", errProof, p.key)
	case before == 0 || before != after:
		return lock.Proof{}, fmt.Errorf("%w: the term changed from %d to %d", errProof, before, after)
	}
	return lock.Proof{From: r.from, For: time.Duration(r.lease.GetTTL()) * time.Second}, nil
}

// Mark is nothing: the revision of the record says it all.
func (p *place) Mark(context.Context) (int64, error) { return 0, nil }

// Unbroken goes by the history of the queue. The record was written while its writer held the lock: of the
// keys ahead of ours none may have been another program's then, nor any that was made since. A history that
// was compacted proves nothing.
func (p *place) Unbroken(ctx context.Context, e lock.Evidence) (bool, error) {
	unbroken := false
	err := p.d.do(ctx, func(ctx context.Context, at *endpoint) error {
		then, err := at.client.Get(ctx, p.d.prefix(), clientv3.WithPrefix(), clientv3.WithRev(e.Version.Seen), clientv3.WithMaxCreateRev(p.raw-1))
		if err != nil || anyForeign(then.Kvs) {
			return err
		}
		unbroken, err = p.onlyOurs(ctx, at, e.Version.Seen+1)
		return err
	})
	return unbroken && err == nil, err
}

// onlyOurs tells whether all keys that were put from a revision on until ours was made are interlocks'.
func (p *place) onlyOurs(ctx context.Context, e *endpoint, from int64) (bool, error) {
	if from > p.raw {
		return true, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch
	for resp := range e.client.Watch(ctx, p.d.prefix(), clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithFilterDelete()) {
		if err := resp.Err(); err != nil {
			return false, err
		}
		for _, ev := range resp.Events {
			switch {
			case ev.Kv.ModRevision >= p.raw:
				return true, nil
			case !ours(ev.Kv):
				return false, nil
			}
		}
	}
	return false, errors.Join(errWatchEnded, ctx.Err())
}

func anyForeign(kvs []*mvccpb.KeyValue) bool {
	for _, kv := range kvs {
		if !ours(kv) {
			return true
		}
	}
	return false
}

var _ lock.SharedPlace = (*place)(nil)
