package etcd

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

// A sight is the queue and the record at one revision, and the server that showed it.
type sight struct {
	client   *clientv3.Client
	revision int64
	there    bool               // our key
	ahead    []*mvccpb.KeyValue // in order; perhaps only the two nearest
	record   lock.Stored
}

// granted tells whether our key was the first one.
func (s sight) granted() bool { return len(s.ahead) == 0 }

// next tells whether we are the one who gets the lock after the present holder.
func (s sight) next() bool { return len(s.ahead) == 1 }

// look reads, linearizably and at one revision, our own key, those ahead of it, and the record. It fails
// with lock.ErrPlaceLost when our key is not there. As long as all keys are interlocks' the two nearest
// ones are all that is asked for: in a long queue every contender would else be sent the whole of it.
func (p *place) look(ctx context.Context) (sight, error) {
	var s sight
	nearest := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithMaxCreateRev(p.raw - 1),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortDescend), clientv3.WithLimit(2)}
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).If(append(p.d.allMarked(), p.mine())...).
			Then(clientv3.OpGet(p.d.prefix(), nearest...), clientv3.OpGet(p.d.record())).
			Else(clientv3.OpGet(p.key, clientv3.WithKeysOnly())).Commit()
		if err != nil {
			return err
		}
		s = sight{client: e.client, revision: resp.Header.Revision, there: resp.Succeeded}
		if s.there {
			s.ahead, s.record = found(resp.Responses[0]), stored(found(resp.Responses[1]))
			slices.Reverse(s.ahead)
			return nil
		}
		if own := found(resp.Responses[0]); len(own) == 1 && own[0].CreateRevision == p.raw {
			s, err = p.lookAtAll(ctx, e)
		}
		return err
	})
	switch {
	case err != nil:
		return sight{}, err
	case !s.there:
		return sight{}, errNotThere
	}
	return s, p.d.refuseForeign(s.ahead)
}

// allMarked holds if every key in the queue begins with our mark. Beside foreign peers nobody asks.
func (d *driver) allMarked() []clientv3.Cmp {
	if d.s.Foreign {
		return nil
	}
	value := clientv3.Value(d.prefix()).WithPrefix()
	return []clientv3.Cmp{clientv3.Compare(value, ">", mark), clientv3.Compare(value, "<", clientv3.GetPrefixRangeEnd(mark))}
}

// lookAtAll follows where another program's key is in the queue, ahead of ours or behind.
func (p *place) lookAtAll(ctx context.Context, e *endpoint) (sight, error) {
	ahead := append(queueOrder(), clientv3.WithMaxCreateRev(p.raw-1))
	resp, err := e.client.Txn(ctx).If(p.mine()).
		Then(clientv3.OpGet(p.d.prefix(), ahead...), clientv3.OpGet(p.d.record())).Commit()
	if err != nil {
		return sight{}, err
	}
	s := sight{client: e.client, revision: resp.Header.Revision, there: resp.Succeeded}
	if s.there {
		s.ahead, s.record = found(resp.Responses[0]), stored(found(resp.Responses[1]))
	}
	return s, nil
}

// lookBehind shows us first if the one key that was ahead of ours in s is gone: none comes ahead later. To
// order the queue would take the service the longer the more there are behind us. It shows nothing, and no
// key of ours, as long as that one is there.
func (p *place) lookBehind(ctx context.Context, s sight) (sight, error) {
	var now sight
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).If(p.mine(), clientv3.Compare(clientv3.CreateRevision(string(s.ahead[0].Key)), "=", 0)).
			Then(clientv3.OpGet(p.d.record())).Commit()
		if err == nil && resp.Succeeded {
			now = sight{client: e.client, revision: resp.Header.Revision, there: true, record: stored(found(resp.Responses[0]))}
		}
		return err
	})
	return now, err
}

// still tells whether nothing has happened to our key and the one just ahead since s: an event was lost
// otherwise. It costs the service two keys, however long the queue is.
func (p *place) still(ctx context.Context, s sight) bool {
	last, same := s.ahead[len(s.ahead)-1], false
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).If(p.mine(), clientv3.Compare(clientv3.ModRevision(string(last.Key)), "=", last.ModRevision)).
			Then(clientv3.OpGet(p.key, clientv3.WithCountOnly())).Commit()
		same = err == nil && resp.Succeeded
		return err
	})
	return err == nil && same
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
