package etcd

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/interlock-run/interlock/lock"
)

// A refuser counts requests and answers each with one error. A real single server cannot be made to say
// that its quorum changed, which is what the client library would answer by sending again.
type refuser struct {
	ln    net.Listener
	mu    sync.Mutex
	err   error
	calls map[string]int
	stale bool // a read was asked for that need not be linearizable
}

func newRefuser(t *testing.T, err error) *refuser {
	t.Helper()
	ln, lerr := net.Listen("tcp", "127.0.0.1:0")
	if lerr != nil {
		t.Fatal(lerr)
	}
	r := &refuser{ln: ln, err: err, calls: map[string]int{}}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls[method]++
		r.stale = r.stale || serializable(stream, method)
		return r.err
	}))
	var flight sync.WaitGroup
	flight.Go(func() {
		if err := s.Serve(ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { s.Stop(); flight.Wait() })
	return r
}

// serializable tells whether a request has a read that a member may answer from what it knows.
func serializable(stream grpc.ServerStream, method string) bool {
	var txn pb.TxnRequest
	var get pb.RangeRequest
	switch method {
	case rangeCall:
		return stream.RecvMsg(&get) != nil || get.Serializable
	case txnCall:
		if stream.RecvMsg(&txn) != nil {
			return true
		}
		for _, op := range append(txn.Success, txn.Failure...) {
			if op.GetRequestRange().GetSerializable() {
				return true
			}
		}
	}
	return false
}

func (r *refuser) count(method string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[method]
}

const (
	rangeCall = "/etcdserverpb.KV/Range"
	txnCall   = "/etcdserverpb.KV/Txn"
	keepCall  = "/etcdserverpb.Lease/LeaseKeepAlive"
	grantCall = "/etcdserverpb.Lease/LeaseGrant"
)

// TestOneRequestATry: a refused request is not sent again, by us or by the library (W2).
func TestOneRequestATry(t *testing.T) {
	for _, refusal := range []error{rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCTimeout, rpctypes.ErrGRPCNotSupportedForLearner} {
		t.Run(rpctypes.ErrorDesc(refusal), func(t *testing.T) {
			for name, c := range map[string]struct {
				method string
				call   func(context.Context, *place) error
			}{
				"write": {txnCall, func(ctx context.Context, p *place) error {
					_, err := p.Write(ctx, []byte("x"), lock.Version{})
					return err
				}},
				"release": {txnCall, func(ctx context.Context, p *place) error {
					_, err := p.Release(ctx, []byte("x"), lock.Version{})
					return err
				}},
				"leave":      {txnCall, func(ctx context.Context, p *place) error { return p.Leave(ctx) }},
				"read":       {rangeCall, func(ctx context.Context, p *place) error { _, err := p.Read(ctx); return err }},
				"look":       {txnCall, func(ctx context.Context, p *place) error { _, err := p.look(ctx); return err }},
				"view":       {txnCall, func(ctx context.Context, p *place) error { _, err := p.d.View(ctx); return err }},
				"keep alive": {keepCall, func(ctx context.Context, p *place) error { return p.KeepAlive(ctx) }},
				"join":       {grantCall, func(ctx context.Context, p *place) error { _, err := p.d.Join(ctx); return err }},
			} {
				r := newRefuser(t, refusal)
				// Two names for it: with several servers the library also repeats what a learner refuses.
				d := open(t, settings(t, 5*time.Second), "once", r.ln.Addr().String(), r.ln.Addr().String())
				if err := c.call(bounded(t), &place{d: d.(*driver), key: "once/1", raw: 2}); err == nil {
					t.Errorf("%s: no error", name)
				}
				if n := r.count(c.method); n != 1 {
					t.Errorf("%s: %d requests, expected 1", name, n)
				}
				if r.stale {
					t.Errorf("%s: the read need not be linearizable (T1)", name)
				}
			}
		})
	}
}

// TestClosedDriver: nothing hangs after Close, also not a wait for the grant.
func TestClosedDriver(t *testing.T) {
	r := newRefuser(t, rpctypes.ErrGRPCNoLeader)
	d := open(t, settings(t, 5*time.Second), "closed", r.ln.Addr().String())
	granted := awaiting(t, &place{d: d.(*driver), key: "closed/1", raw: 2, ttl: time.Second, gone: make(chan struct{})})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-granted:
		if err == nil {
			t.Fatal("granted by a closed driver")
		}
	case <-time.After(limit):
		t.Fatal("Await does not end")
	}
	if _, err := d.Join(bounded(t)); err == nil {
		t.Fatal("a closed driver joins")
	}
}
