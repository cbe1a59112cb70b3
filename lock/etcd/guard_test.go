package etcd

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// TestReleaseIsOneRevision: the record is written and the key deleted at the same revision (E2).
func TestReleaseIsOneRevision(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20*time.Second), name, s.Addr()).(*driver)
	p := hold(t, d)
	w := d.follow(bounded(t), d.conns.all[0].client, p.key, p.raw, clientv3.WithFilterPut())
	defer w.stop()
	r := release(t, p, "bye", lock.Version{}, lock.Committed)
	if e := testkit.Recv(t, limit, "the deletion", w.events); e.revision != r.Version.CAS {
		t.Fatalf("record written at revision %d, key deleted at %d", r.Version.CAS, e.revision)
	}
}

// TestKeyTakenByAnother: a key of our name that is not the one we made is no key of ours (W1).
func TestKeyTakenByAnother(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	p := hold(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	ctl(t, s, "del", p.key)
	testkit.Recv(t, limit, "Gone", done(p.Gone()))
	ctl(t, s, "put", p.key, "taken")
	write(t, p, "late", v, lock.KeyGone)
	release(t, p, "late", v, lock.KeyGone)
	if err := p.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if n := keys(t, s, name+"/"); n != 1 {
		t.Fatal("Leave deleted a key that is not ours")
	}
}

// TestWriteAfterTheCallersTime: a try whose time is over sends nothing.
func TestWriteAfterTheCallersTime(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	p := hold(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	if r, err := p.Write(ctx, []byte("late"), lock.Version{}); r.Outcome != lock.Ambiguous || err == nil {
		t.Fatalf("outcome %d, %v", r.Outcome, err)
	}
	if got, err := p.Read(bounded(t)); err != nil || got.Exists() {
		t.Fatalf("record %q (%v), expected none", got.Data, err)
	}
}

// TestNextInLineIsTold: the one behind a newly granted contender watches the record at once, not only when
// it looks again by itself.
func TestNextInLineIsTold(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	set := settings(t, 60*time.Second) // so that no keep-alive comes in between
	a := hold(t, open(t, set, name, s.Addr()))
	b := join(t, open(t, set, name, s.Addr()))
	granted := awaiting(t, b)
	c := join(t, open(t, set, name, s.Addr()))
	saw := make(chan lock.Version, 10)
	seeing(t, c, saw)
	testkit.Wait(t, limit, func() (bool, string) { return c.Ahead() != lock.Waiter{}, "c does not wait" })
	if err := a.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Recv(t, limit, "the grant", granted); err != nil {
		t.Fatal(err)
	}
	v := write(t, b, "mine", lock.Version{}, lock.Committed).Version
	if got := testkit.Recv(t, 5*time.Second, "the record as seen by the new next in line", saw); got != v {
		t.Fatalf("saw %+v, expected %+v", got, v)
	}
}
