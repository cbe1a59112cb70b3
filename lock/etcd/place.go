package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

// place is one key in the queue. Its token is the key's create revision.
type place struct {
	d     *driver
	lease clientv3.LeaseID
	ttl   time.Duration // as granted; the server may give more than was asked for
	key   string
	raw   int64

	once sync.Once
	gone chan struct{}

	mu    sync.Mutex
	ahead lock.Waiter
	stop  context.CancelFunc // ends the watch of the own key
}

func (p *place) RawToken() int64 { return p.raw }

func (p *place) Gone() <-chan struct{} { return p.gone }

func (p *place) markGone() { p.once.Do(func() { close(p.gone) }) }

// Pulse does nothing: after the grant only KeepAlive keeps the lease, and the decision loop calls it.
// Before the grant Await does, pulse or not: a key that waits hurts nobody, and once it is granted Await
// returns and the lease lapses unless the loop turns (W4).
func (p *place) Pulse() {}

func (p *place) Ahead() lock.Waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ahead
}

func (p *place) setAhead(w lock.Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = w
}

// Read is linearizable, as etcd's reads are unless asked otherwise (T1).
func (p *place) Read(ctx context.Context) (lock.Stored, error) {
	var s lock.Stored
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Get(ctx, p.d.record())
		if err != nil {
			return err
		}
		s = stored(resp.Kvs)
		return nil
	})
	if err != nil {
		return lock.Stored{}, fmt.Errorf("cannot read the state record %s: %w", p.d.record(), err)
	}
	return s, nil
}

// errLeaseGone says that the server does not know our lease any more.
var errLeaseGone = errors.New("the etcd lease of our key has expired or was revoked")

func leaseUnknown(err error) bool {
	return errors.Is(err, errLeaseGone) || errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound)
}

// KeepAlive sends one request on a stream of its own. The client library's KeepAliveOnce would repeat it
// without a pause for as long as a server answers that it has no leader.
func (p *place) KeepAlive(ctx context.Context) error {
	var left int64
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := p.renewOnce(ctx, e)
		left = resp.GetTTL()
		return err
	})
	if err == nil && left <= 0 {
		p.markGone() // keys go with their lease
		return errLeaseGone
	}
	return err
}

func (p *place) renewOnce(ctx context.Context, e *endpoint) (*pb.LeaseKeepAliveResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := pb.NewLeaseClient(e.conn()).LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	// A failed Send shows its cause in Recv.
	_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(p.lease)})
	return stream.Recv()
}

// Leave deletes the key, if it is still ours, and drops the lease.
func (p *place) Leave(ctx context.Context) error {
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		_, err := e.client.Txn(ctx).If(p.mine()).Then(clientv3.OpDelete(p.key)).Commit()
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot delete the lock key %s: %w", p.key, err)
	}
	p.left(ctx)
	return nil
}

// left tidies up once the key is surely gone.
func (p *place) left(ctx context.Context) {
	p.mu.Lock()
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	p.revoke(ctx)
}

// mine is the guard of every write: our own key, not one that took its name (W1).
func (p *place) mine() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(p.key), "=", p.raw)
}
