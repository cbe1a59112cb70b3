package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// TestPausedServer: a server that hangs for less than the lease costs tries, not the lock.
func TestPausedServer(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{})
	p := hold(t, open(t, settings(t, 20*time.Second), "paused", s.Addr()))
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	s.Pause(t)
	began := time.Now()
	for range 2 {
		write(t, p, "lost", v, lock.Ambiguous)
	}
	if took := time.Since(began); took > 4*time.Second+testkit.Busy(t) {
		t.Fatalf("two tries of 1 s took %v", took)
	}
	s.Resume(t)
	keepsLock(t, p)
}

// keepsLock writes and renews until both succeed.
func keepsLock(t *testing.T, p *place) {
	t.Helper()
	r := again(t, func() (lock.Result, error) {
		now, err := p.Read(bounded(t))
		if err != nil {
			return lock.Result{}, err
		}
		return p.Write(bounded(t), []byte("kept"), now.Version)
	})
	expect(t, "write", r, nil, lock.Committed)
	testkit.Wait(t, limit, func() (bool, string) {
		err := p.KeepAlive(bounded(t))
		return err == nil, fmt.Sprint("keep-alive: ", err)
	})
	select {
	case <-p.Gone():
		t.Fatal("Gone was closed though the key is there")
	default:
	}
}

// TestRestartedServer: a server that is killed and started again keeps the lock.
func TestRestartedServer(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{})
	a := hold(t, open(t, settings(t, 20*time.Second), "restarted", s.Addr()))
	v := write(t, a, "one", lock.Version{}, lock.Committed).Version
	next := join(t, open(t, settings(t, 20*time.Second), "restarted", s.Addr()))
	granted := awaiting(t, next)
	s.Kill(t)
	write(t, a, "lost", v, lock.Ambiguous)
	s.Start(t)
	keepsLock(t, a)
	now, err := a.Read(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	release(t, a, "bye", now.Version, lock.Committed)
	if err := testkit.Recv(t, limit, "the grant after a restart", granted); err != nil {
		t.Fatal(err)
	}
}

// TestServerComesLater: Open needs no server, Join says why there is none, and works once there is.
func TestServerComesLater(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{})
	s.Kill(t)
	d := open(t, settings(t, 5*time.Second), "later", s.Addr())
	_, err := d.Join(bounded(t))
	if !errors.Is(err, lock.ErrUnreachable) {
		t.Fatalf("Join gave %v, expected ErrUnreachable", err)
	}
	t.Log(err)
	s.Start(t)
	testkit.Wait(t, limit, func() (bool, string) {
		p, err := d.Join(bounded(t))
		return err == nil && p.RawToken() > 0, fmt.Sprint(err)
	})
}

// TestCompactionWhileWaiting: events that were compacted before the watch came back do not hang a waiter.
func TestCompactionWhileWaiting(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{})
	a := hold(t, open(t, settings(t, 20*time.Second), "compacted", s.Addr()))
	px := newProxy(t, s.Addr())
	next := join(t, open(t, settings(t, 20*time.Second), "compacted", px.addr()))
	saw := make(chan lock.Version, 100)
	granted := make(chan error, 1)
	v := write(t, a, "one", lock.Version{}, lock.Committed).Version
	go func() {
		granted <- next.Await(bounded(t), func(v lock.Version, _ clock.Stamp) { saw <- v })
	}()
	testkit.Recv(t, limit, "the first version", saw)
	px.freeze()
	for range 5 {
		v = write(t, a, "more", v, lock.Committed).Version
	}
	v = release(t, a, "bye", v, lock.Committed).Version
	for range 3 { // what is compacted last must lie after the deletion
		ctl(t, s, "put", "elsewhere", "x")
	}
	ctl(t, s, "compact", fmt.Sprint(v.CAS+2))
	px.cut()
	px.thaw()
	if err := testkit.Recv(t, limit, "the grant after compaction", granted); err != nil {
		t.Fatal(err)
	}
}

// TestDeletedBeforeTheWatch: what happens between the look at the queue and the watch is not missed.
func TestDeletedBeforeTheWatch(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	a := hold(t, open(t, settings(t, 60*time.Second), name, s.Addr()))
	px := newProxy(t, s.Addr())
	next := join(t, open(t, settings(t, 60*time.Second), name, px.addr()))
	px.delay(a.key, func() { ctl(t, s, "del", a.key) })
	if err := testkit.Recv(t, limit, "the grant", awaiting(t, next)); err != nil {
		t.Fatal(err)
	}
}

// requests is how many reads, writes and keep-alive streams the server has begun.
func requests(t *testing.T, s *testkit.EtcdServer) (kv, keep float64) {
	t.Helper()
	for _, m := range []string{"Range", "Txn"} {
		kv += s.Metric(t, `grpc_server_started_total{grpc_method="`+m+`",grpc_service="etcdserverpb.KV",grpc_type="unary"}`)
	}
	return kv, s.Metric(t, `grpc_server_started_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}`)
}

// TestWaiterKeepsLease: a waiter that nobody pulses or keeps alive stays in the queue for longer than its
// lease, and asks for little.
func TestWaiterKeepsLease(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	a := hold(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	next := join(t, open(t, settings(t, 2*time.Second), name, s.Addr()))
	granted := awaiting(t, next)
	kv, keep := requests(t, s)
	select {
	case err := <-granted:
		t.Fatalf("Await returned %v while another holds", err)
	case <-time.After(3 * next.ttl):
	}
	kv2, keep2 := requests(t, s)
	if kv2-kv > 5 || keep2-keep > 10 || keep2-keep < 6 {
		t.Errorf("in three lease times a waiter made %v reads and writes and %v keep-alives, expected at most 5, and 6 to 10", kv2-kv, keep2-keep)
	}
	if err := a.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Recv(t, limit, "the grant", granted); err != nil {
		t.Fatal(err)
	}
}

// TestDeletedWhileWaiting: a waiter whose key alone was deleted learns so though the one ahead stays.
func TestDeletedWhileWaiting(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	hold(t, open(t, settings(t, 20*time.Second), name, s.Addr()))
	next := join(t, open(t, settings(t, 2*time.Second), name, s.Addr()))
	result := awaiting(t, next)
	testkit.Wait(t, limit, func() (bool, string) { return next.Ahead() != lock.Waiter{}, "the waiter does not wait" })
	ctl(t, s, "del", next.key)
	if err := testkit.Recv(t, 3*next.ttl, "the loss", result); !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("Await gave %v, expected ErrPlaceLost", err)
	}
}

// TestNoSpace: a full database refuses heartbeats, and the key can be given up all the same.
func TestNoSpace(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{QuotaBytes: 4 << 20})
	d := open(t, settings(t, 20*time.Second), "full", s.Addr())
	p := hold(t, d)
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	fill(t, s)
	write(t, p, "two", v, lock.Refused)
	release(t, p, "bye", v, lock.Refused)
	if err := p.KeepAlive(bounded(t)); err != nil {
		t.Errorf("keep-alive while the database is full: %v", err)
	}
	_, err := d.Join(bounded(t))
	if !errors.Is(err, lock.ErrUnreachable) {
		t.Errorf("Join gave %v, expected ErrUnreachable", err)
	}
	t.Log(err)
	mustDiagnose(t, d, fail, "alarm NOSPACE")
	if err := p.Leave(bounded(t)); err != nil {
		t.Errorf("leave while the database is full: %v", err)
	}
	if n := keys(t, s, "full/"); n != 0 {
		t.Errorf("%d keys after Leave, expected none", n)
	}
	if out := ctl(t, s, "lease", "list"); out != "found 0 leases\n" {
		t.Errorf("leases after Leave: %s", out)
	}
}

func fill(t *testing.T, s *testkit.EtcdServer) {
	t.Helper()
	big := fmt.Sprintf("%0100000d", 1)
	for range 100 {
		if _, err := s.Ctl("put", "filler", big); err != nil {
			return
		}
	}
	t.Fatal("the database did not get full")
}

func mustDiagnose(t *testing.T, d lock.Driver, level, part string) {
	t.Helper()
	lines := d.Diagnose(context.Background())
	for _, l := range lines {
		if l.Level == level && contains(l.What+" "+l.Do, part) {
			return
		}
	}
	t.Errorf("no diagnosis of level %s with %q:\n%+v", level, part, lines)
}
