package etcd

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/lock"
)

// Write replaces the record while the own key is there (W1).
func (p *place) Write(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return p.commit(ctx, after, clientv3.OpPut(p.d.record(), string(data)))
}

// Release writes the record and deletes the own key in one transaction (E2).
func (p *place) Release(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	r, err := p.commit(ctx, after, clientv3.OpPut(p.d.record(), string(data)), clientv3.OpDelete(p.key))
	if r.Outcome == lock.Committed {
		p.left(ctx)
	}
	return r, err
}

// commit is one try of one transaction; its Else branch is the re-read, so that the bound of a try holds
// for both (W2). Refused does not mean that nothing was written: etcd executes the transaction that first
// exceeds its quota and then says NOSPACE.
func (p *place) commit(ctx context.Context, after lock.Version, then ...clientv3.Op) (lock.Result, error) {
	var resp *clientv3.TxnResponse
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		var err error
		resp, err = e.client.Txn(ctx).
			If(p.guards(after)...).
			Then(then...).
			Else(clientv3.OpGet(p.key), clientv3.OpGet(p.d.record())).Commit()
		return err
	})
	switch {
	case noSpace(err):
		return lock.Result{Outcome: lock.Refused}, err
	case err != nil:
		return lock.Result{Outcome: lock.Ambiguous}, err
	case resp.Succeeded:
		return lock.Result{Outcome: lock.Committed, Version: version(resp.Header.Revision)}, nil
	}
	r := p.refused(resp.Responses, after)
	if r.Outcome == lock.KeyGone {
		p.markGone()
	}
	return r, nil
}

// guards are the two conditions of every write (W1).
func (p *place) guards(after lock.Version) []clientv3.Cmp {
	unchanged := clientv3.Compare(clientv3.ModRevision(p.d.record()), "=", after.CAS)
	if mutate.Broken("unconditional-heartbeat") { // W1: only while the own lock key is there
		return []clientv3.Cmp{unchanged}
	}
	return []clientv3.Cmp{p.mine(), unchanged}
}

// refused tells which of the two comparisons failed (W3).
func (p *place) refused(replies []*pb.ResponseOp, after lock.Version) lock.Result {
	if len(replies) != 2 {
		return lock.Result{Outcome: lock.Ambiguous}
	}
	own, record := found(replies[0]), found(replies[1])
	switch {
	case len(own) == 0 || own[0].CreateRevision != p.raw:
		return lock.Result{Outcome: lock.KeyGone}
	case len(record) == 0 && after != lock.Version{}:
		return lock.Result{Outcome: lock.Missing}
	case len(record) == 0: // cannot be: both comparisons would have held
		return lock.Result{Outcome: lock.Ambiguous}
	}
	return lock.Result{Outcome: lock.Moved, Current: stored(record)}
}

func found(r *pb.ResponseOp) []*mvccpb.KeyValue { return r.GetResponseRange().GetKvs() }
