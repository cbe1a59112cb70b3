package etcd

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// A look shows the two nearest keys, however many are ahead, and whether we are next in line.
func TestLookBehindMany(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20*time.Second), name, s.Addr())
	first := hold(t, d)
	ahead := []*place{first}
	for range 6 {
		p := join(t, d)
		got, err := p.look(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got.ahead); n != min(len(ahead), 2) || got.next() != (len(ahead) == 1) {
			t.Fatalf("behind %d a look shows %d keys, next in line %v", len(ahead), n, got.next())
		}
		if last := got.ahead[len(got.ahead)-1]; string(last.Key) != ahead[len(ahead)-1].key {
			t.Fatalf("just ahead is %s, expected %s", last.Key, ahead[len(ahead)-1].key)
		}
		ahead = append(ahead, p)
	}
}

// A key of another program ahead of ours is found wherever it stands; one behind ours is nobody's concern.
func TestForeignKeyAmongOurs(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	before := open(t, settings(t, 20*time.Second), name, s.Addr())
	hold(t, before)
	early := join(t, before)
	key := name + "/other"
	ctl(t, s, "put", key, "")
	if got, err := early.look(bounded(t)); err != nil || !got.next() {
		t.Fatalf("ahead of the other program's key: %+v, %v", got, err)
	}
	shared := settings(t, 20*time.Second)
	shared.Foreign = true
	between := open(t, shared, name, s.Addr())
	for range 3 {
		join(t, between)
	}
	_, err := join(t, before).look(bounded(t))
	if !errors.Is(err, lock.ErrConfig) || !contains(err.Error(), key) {
		t.Fatalf("behind the other program's key: %v", err)
	}
}

// The next in line learns of its grant from the one key that was ahead, and of nothing else.
func TestLookBehind(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20*time.Second), name, s.Addr())
	first, next := hold(t, d), join(t, d)
	join(t, d)
	before, err := next.look(bounded(t))
	if err != nil || !before.next() {
		t.Fatalf("next in line: %v, %v", before.next(), err)
	}
	if now, err := next.lookBehind(bounded(t), before); err != nil || now.there {
		t.Fatalf("while the first one holds: %+v, %v", now, err)
	}
	r := release(t, first, "bye", lock.Version{}, lock.Committed)
	now, err := next.lookBehind(bounded(t), before)
	if err != nil || !now.there || !now.granted() || now.record.Version != r.Version {
		t.Fatalf("after the release: %+v, %v", now, err)
	}
	ctl(t, s, "del", next.key)
	if now, err := next.lookBehind(bounded(t), before); err != nil || now.there {
		t.Fatalf("without our own key: %+v, %v", now, err)
	}
}

// A change whose event was lost shows in the small look: of our own key, and of the one just ahead.
func TestStill(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20*time.Second), name, s.Addr())
	hold(t, d)
	middle, last := join(t, d), join(t, d)
	sight, err := last.look(bounded(t))
	if err != nil || !last.still(bounded(t), sight) {
		t.Fatalf("nothing happened: %v", err)
	}
	ctl(t, s, "put", middle.key, "again")
	if last.still(bounded(t), sight) {
		t.Fatal("the key ahead was put again, as at its grant")
	}
	if _, err = last.look(bounded(t)); err == nil { // by another program's value now
		t.Fatal("a key without our mark ahead of ours is no reason to refuse")
	}
	ctl(t, s, "del", middle.key)
	if sight, err = last.look(bounded(t)); err != nil || !last.still(bounded(t), sight) {
		t.Fatalf("nothing happened: %v", err)
	}
	ctl(t, s, "del", last.key)
	if last.still(bounded(t), sight) {
		t.Fatal("our own key is gone")
	}
}

// A waiter in the middle of the queue keeps its watch for as long as nothing changes, and looks all the same.
func TestIdleLooks(t *testing.T) {
	s, name := testkit.Etcd(t, testkit.EtcdOptions{}), fresh(t)
	d := open(t, settings(t, time.Second), name, s.Addr())
	ahead := []*place{hold(t, d), join(t, d)}
	last := join(t, d)
	awaiting(t, last)
	received := func(service, method, kind string) float64 {
		return s.Metric(t, fmt.Sprintf(`grpc_server_msg_received_total{grpc_method=%q,grpc_service="etcdserverpb.%s",grpc_type=%q}`, method, service, kind))
	}
	testkit.Wait(t, limit, func() (bool, string) { return s.Metric(t, "etcd_debugging_mvcc_watcher_total") == 2, "watches" })
	watches, looks := received("Watch", "Watch", "bidi_stream"), received("KV", "Txn", "unary")
	beat := time.NewTicker(300 * time.Millisecond)
	defer beat.Stop()
	for began := clock.Now(); clock.Now().HolderSince(began) < 2*last.period()*looksEvery; <-beat.C {
		for _, p := range ahead {
			if err := p.KeepAlive(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := received("KV", "Txn", "unary") - looks; n < 1 || n > 3 {
		t.Errorf("%v looks in the time of ten keep-alives, expected about 2", n)
	}
	if n := received("Watch", "Watch", "bidi_stream") - watches; n != 0 {
		t.Errorf("%v requests for watches though nothing changed", n)
	}
}
