package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

// A sight is the queue and the record at one revision, and the server that showed it.
type sight struct {
	client   *clientv3.Client
	revision int64
	there    bool               // our key
	ahead    []*mvccpb.KeyValue // in order
	record   lock.Stored
}

// granted tells whether our key was the first one.
func (s sight) granted() bool { return len(s.ahead) == 0 }

// next tells whether we are the one who gets the lock after the present holder.
func (s sight) next() bool { return len(s.ahead) == 1 }

// look reads, linearizably and at one revision, our own key, those ahead of it, and the record. It fails
// with lock.ErrPlaceLost when our key is not there.
func (p *place) look(ctx context.Context) (sight, error) {
	var s sight
	ahead := append(queueOrder(), clientv3.WithMaxCreateRev(p.raw-1))
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).If(p.mine()).
			Then(clientv3.OpGet(p.d.prefix(), ahead...), clientv3.OpGet(p.d.record())).Commit()
		if err != nil {
			return err
		}
		s = sight{client: e.client, revision: resp.Header.Revision, there: resp.Succeeded}
		if s.there {
			s.ahead, s.record = found(resp.Responses[0]), stored(found(resp.Responses[1]))
		}
		return nil
	})
	switch {
	case err != nil:
		return sight{}, err
	case !s.there:
		return sight{}, errNotThere
	}
	return s, p.d.refuseForeign(s.ahead)
}

var errNotThere = fmt.Errorf("%w: our key is not there: it was deleted, or its lease expired or was revoked", lock.ErrPlaceLost)

func queueOrder() []clientv3.OpOption {
	return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend)}
}

// refuseForeign is section 6 of the protocol: other programs do not end their payload in time.
func (d *driver) refuseForeign(ahead []*mvccpb.KeyValue) error {
	if d.s.Foreign {
		return nil
	}
	for _, kv := range ahead {
		if !ours(kv) {
			return fmt.Errorf("etcd: %w", lock.ForeignAhead(waiter(kv)))
		}
	}
	return nil
}
