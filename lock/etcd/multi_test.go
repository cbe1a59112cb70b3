package etcd

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// TestHungServerOfTwo: when the server in use hangs, the lock is kept through the other one, and the time
// between two acknowledged heartbeats stays under a third of the lease.
func TestHungServerOfTwo(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	a, b := newProxy(t, s.Addr()), newProxy(t, s.Addr())
	set := settings(t, 6*time.Second)
	set.Timing.TryTimeout = 2 * time.Second // more than a quarter of the lease
	p := hold(t, open(t, set, name, a.addr(), b.addr()))
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	for _, hung := range []*proxy{a, b} {
		hung.freeze()
		began := time.Now()
		r := again(t, func() (lock.Result, error) { return p.Write(bounded(t), []byte("more"), v) })
		v = expect(t, "write", r, nil, lock.Committed).Version
		if took := time.Since(began); took >= set.Timing.Hold/3+testkit.Busy(t) {
			t.Errorf("a hung server cost %v, expected less than %v", took, set.Timing.Hold/3)
		}
		if err := p.KeepAlive(bounded(t)); err != nil {
			t.Errorf("keep-alive through the other server: %v", err)
		}
		hung.thaw()
	}
	ctl(t, s, "del", p.key)
	testkit.Recv(t, limit, "Gone, through the other server", done(p.Gone()))
}

// TestMemberWithoutLeader: a member that answers but lost its quorum is left for the next one.
func TestMemberWithoutLeader(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	alone := newRefuser(t, rpctypes.ErrGRPCNoLeader)
	d := open(t, settings(t, 6*time.Second), name, alone.ln.Addr().String(), s.Addr())
	if _, err := d.Join(bounded(t)); !errors.Is(err, lock.ErrUnreachable) {
		t.Fatalf("Join gave %v, expected ErrUnreachable", err)
	}
	write(t, hold(t, d), "one", lock.Version{}, lock.Committed)
}

// TestHungServerAtStart: a server that takes connections and never answers does not cost a whole try.
func TestHungServerAtStart(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	a := newProxy(t, s.Addr())
	a.freeze()
	began := time.Now()
	hold(t, open(t, settings(t, 6*time.Second), name, a.addr(), "127.0.0.1:1", s.Addr()))
	if took := time.Since(began); took > time.Second+testkit.Busy(t) {
		t.Fatalf("the first server hangs, the second refuses: the lock came after %v", took)
	}
	a.thaw()
}

// TestHungServerWhileWaiting: a waiter whose server hangs silently learns of the grant through the other.
func TestHungServerWhileWaiting(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	holder := hold(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	a := newProxy(t, s.Addr())
	next := join(t, open(t, settings(t, 3*time.Second), name, a.addr(), s.Addr()))
	granted := awaiting(t, next)
	testkit.Wait(t, limit, func() (bool, string) { return next.Ahead() != lock.Waiter{}, "the waiter does not wait" })
	a.freeze()
	if err := holder.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Recv(t, 3*time.Second+testkit.Busy(t), "the grant", granted); err != nil {
		t.Fatal(err)
	}
	a.thaw()
}

// TestRefusedOfTwo: a server that is down costs no try.
func TestRefusedOfTwo(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	began := time.Now()
	p := hold(t, open(t, settings(t, 20*time.Second), name, "127.0.0.1:1", s.Addr()))
	write(t, p, "one", lock.Version{}, lock.Committed)
	if took := time.Since(began); took > time.Second+testkit.Busy(t) {
		t.Fatalf("took %v", took)
	}
}

// TestDiagnoseOneDown: each server has its own line, the rights are tried through one that is up.
func TestDiagnoseOneDown(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20*time.Second), name, "127.0.0.1:1", s.Addr())
	mustDiagnose(t, d, fail, "127.0.0.1:1")
	if leaseDefect(s.Version(t)) == defective { // an old one, which does not tell its quota either
		mustDiagnose(t, d, warn, "3.4.31")
		mustDiagnose(t, d, warn, "quota")
	}
	mustDiagnose(t, d, ok, "may read and write")
	mustDiagnose(t, d, ok, "no alarm")
	if n := keys(t, s, name); n != 0 {
		t.Errorf("the diagnosis left %d keys", n)
	}
}

// TestForeignAhead: a key of `etcdctl lock` is refused, or waited for where foreign peers are permitted;
// etcdctl waits for our key.
func TestForeignAhead(t *testing.T) {
	s := testkit.SharedEtcd(t)
	name := fresh(t)
	foreign := etcdctlLock(t, s, name)
	testkit.Wait(t, limit, func() (bool, string) { return keys(t, s, name+"/") == 1, "etcdctl has no key" })
	p := join(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	err := testkit.Recv(t, limit, "the refusal", awaiting(t, p))
	if !errors.Is(err, lock.ErrConfig) || !contains(err.Error(), name+"/") {
		t.Fatalf("Await behind a foreign key gave %v, expected ErrConfig with its name", err)
	}
	if err := p.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	set := settings(t, 20*time.Second)
	set.Foreign = true
	mine := join(t, open(t, set, name, s.Addr()))
	granted := awaiting(t, mine)
	testkit.Wait(t, limit, func() (bool, string) { return mine.Ahead() != lock.Waiter{}, "nobody ahead" })
	behind := etcdctlLock(t, s, name)
	testkit.Wait(t, limit, func() (bool, string) { return keys(t, s, name+"/") == 3, "etcdctl does not queue" })
	foreign.end(t)
	if err := testkit.Recv(t, limit, "the grant", granted); err != nil {
		t.Fatal(err)
	}
	behind.mustWait(t)
	release(t, mine, "bye", lock.Version{}, lock.Committed)
	behind.mustHold(t)
	behind.end(t)
}
