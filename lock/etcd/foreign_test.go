package etcd

import (
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// What the two replies of a renewal must say: one term, a lease that lives, our own key.
func TestRenewalIsJudged(t *testing.T) {
	reply := func(before, after uint64, ttl, created int64) renewal {
		return renewal{
			from:  clock.Stamp{Boot: 5, Raw: 7},
			lease: &pb.LeaseKeepAliveResponse{Header: &pb.ResponseHeader{RaftTerm: before}, TTL: ttl},
			key:   &clientv3.GetResponse{Header: &pb.ResponseHeader{RaftTerm: after}, Kvs: []*mvccpb.KeyValue{{CreateRevision: created}}},
		}
	}
	absent := reply(3, 3, 9, 40)
	absent.key.Kvs = nil
	for name, c := range map[string]struct {
		r    renewal
		good bool
	}{
		"good":          {reply(3, 3, 9, 40), true},
		"other term":    {reply(3, 4, 9, 40), false},
		"no term":       {reply(0, 0, 9, 40), false},
		"lease gone":    {reply(3, 3, 0, 40), false},
		"other key":     {reply(3, 3, 9, 41), false},
		"key not there": {absent, false},
	} {
		p := &place{raw: 40, gone: make(chan struct{})}
		proof, err := p.judge(c.r)
		if c.good != (err == nil) || c.good && proof != (lock.Proof{From: c.r.from, For: 9 * time.Second}) {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
	}
}

// A proof counts from before the renewal was sent.
func TestProofStamp(t *testing.T) {
	s := testkit.SharedEtcd(t)
	proxy := testkit.NewProxy(t, s.Addr())
	set := settings(t, 20*time.Second)
	set.Foreign = true
	p := hold(t, open(t, set, fresh(t), proxy.Addr()))
	const slow = 100 * time.Millisecond
	proxy.Delay(slow)
	before := clock.Now()
	proof, err := p.Reset(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if took := clock.Now().HolderSince(before); took < 3*slow {
		t.Fatalf("the proof took %v: this shows nothing", took)
	}
	if late := proof.From.HolderSince(before); late < 0 || late > slow {
		t.Errorf("the proof counts from %v after it was asked for", late)
	}
}

// A history that was compacted proves nothing.
func TestUnbrokenCompacted(t *testing.T) {
	s, name := testkit.Etcd(t, testkit.EtcdOptions{}), fresh(t)
	set := settings(t, 20*time.Second)
	set.Foreign = true
	d := open(t, set, name, s.Addr())
	a := hold(t, d)
	rev := release(t, a, "drained", lock.Version{}, lock.Committed).Version
	b := hold(t, d)
	e := lock.Evidence{Version: rev, Token: a.raw}
	if unbroken, err := b.Unbroken(bounded(t), e); err != nil || !unbroken {
		t.Fatalf("before the compaction: %v, %v", unbroken, err)
	}
	last := write(t, b, "more", rev, lock.Committed).Version
	ctl(t, s, "compact", fmt.Sprint(last.Seen))
	if unbroken, err := b.Unbroken(bounded(t), e); err == nil || unbroken {
		t.Errorf("after it: %v, %v", unbroken, err)
	}
}
