package zk

import (
	"errors"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// The lock survives a server that stands still for longer than the patience, and one that is killed.
func TestServerPausedAndKilled(t *testing.T) {
	server := testkit.ZooKeeper(t, testkit.ZKOptions{})
	url := "zk://" + server.Addr() + "/svc/db"
	p := held(t, opened(t, url, settings()))
	waiting := joined(t, opened(t, url, settings()))
	granted := awaiting(t, waiting)
	r, err := p.Write(within(t, patient), []byte("one"), lock.Version{})
	v := want(t, r, err, lock.Committed).Version

	server.Pause(t)
	for start, failed := time.Now(), 0; time.Since(start) < 2500*time.Millisecond || failed == 0; {
		if r, _ = p.Write(within(t, patient), []byte("paused"), v); r.Outcome == lock.Committed {
			v = r.Version // not all of the server's threads stop at the same moment
			continue
		}
		want(t, r, err, lock.Ambiguous)
		failed++
	}
	server.Resume(t)
	v = writeUntilCommitted(t, p, v)

	server.Kill(t)
	r, err = p.Write(within(t, patient), []byte("down"), v)
	want(t, r, err, lock.Ambiguous)
	server.Start(t)
	v = writeUntilCommitted(t, p, v)
	select {
	case <-p.Gone():
		t.Fatal("Gone is closed though the key is there")
	case err := <-granted:
		t.Fatalf("the waiting contender got %v while the lock is held", err)
	default:
	}
	r, err = p.Release(within(t, patient), []byte("bye"), v)
	want(t, r, err, lock.Committed)
	must(t, testkit.Recv(t, patient, "the grant", granted))
}

// writeUntilCommitted does what a tenure does: try after try, adopting its own lost writes.
func writeUntilCommitted(t testing.TB, p *place, v lock.Version) lock.Version {
	t.Helper()
	ctx := within(t, patient)
	for ctx.Err() == nil {
		r, err := p.Write(ctx, []byte("beat"), v)
		switch r.Outcome {
		case lock.Committed:
			return r.Version
		case lock.Moved:
			v = r.Current.Version
		case lock.Ambiguous:
			t.Logf("try: %v", err)
		default:
			t.Fatalf("outcome %v (%v)", r.Outcome, err)
		}
	}
	t.Fatal("no write was committed in time")
	return v
}

// A key that goes while the waiter's connection is down is noticed on the next one.
func TestEventMissedWhileDisconnected(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	p := held(t, opened(t, "zk://"+server.Addr()+path, settings()))
	proxy := testkit.NewProxy(t, server.Addr())
	waiting := joined(t, opened(t, "zk://"+proxy.Addr()+path, settings()))
	granted := awaiting(t, waiting)
	testkit.Wait(t, patient, func() (bool, string) { return waiting.Ahead().Key == p.me.name, "the waiter knows who is ahead" })
	proxy.Refuse()
	must(t, p.Leave(within(t, patient)))
	proxy.Pass(t)
	must(t, testkit.Recv(t, patient, "the grant", granted))
}

// A reply from a rebuilt service: it refuses our session for ever, so a waiter must join anew.
func TestServiceRebuilt(t *testing.T) {
	old, fresh := testkit.ZooKeeper(t, testkit.ZKOptions{}), testkit.ZooKeeper(t, testkit.ZKOptions{})
	busy := stranger(t, old)
	for range 20 { // so that the old one's zxid is ahead
		_, err := busy.Create("/n-", nil, 2, settingsACL())
		must(t, err)
	}
	proxy := testkit.NewProxy(t, old.Addr())
	s := settings()
	s.Timing.Hold = 2 * time.Second
	url := "zk://" + proxy.Addr() + "/lock"
	held(t, opened(t, "zk://"+old.Addr()+"/lock", s))
	d := opened(t, url, s)
	waiting := joined(t, d)
	granted := awaiting(t, waiting)
	proxy.Retarget(fresh.Addr())
	proxy.Drop()
	if err := testkit.Recv(t, patient, "the loss", granted); !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("Await gave %v, expected ErrPlaceLost", err)
	}
	held(t, d)
}

// Heartbeats reach the next in line alone, and a release wakes one.
func TestWhoIsNotified(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	p := held(t, opened(t, "zk://"+server.Addr()+path, settings()))
	var proxies []*faulty
	var grants []<-chan error
	for range 4 {
		f := newFaulty(t, server.Addr())
		c := joined(t, opened(t, "zk://"+f.addr()+path, settings()))
		proxies, grants = append(proxies, f), append(grants, awaiting(t, c))
		testkit.Wait(t, patient, func() (bool, string) { return c.Ahead().Key != "", "the contender waits" })
	}
	testkit.Wait(t, patient, func() (bool, string) { return watchesOf(t, server, path) == 6, "six watches" })
	v := lock.Version{}
	const beats = 10
	for i := range beats {
		r, err := p.Write(within(t, patient), []byte("beat"), v)
		v = want(t, r, err, lock.Committed).Version
		testkit.Wait(t, patient, func() (bool, string) { // the next one has armed again
			return proxies[0].notified() > i && watchesOf(t, server, path) == 6, "the next in line is notified"
		})
	}
	for i, f := range proxies[1:] {
		if n := f.notified(); n != 0 {
			t.Errorf("contender %d got %d events from %d heartbeats, expected none", i+2, n, beats)
		}
	}
	r, err := p.Release(within(t, patient), []byte("bye"), v)
	want(t, r, err, lock.Committed)
	must(t, testkit.Recv(t, patient, "the grant", grants[0]))
	for i, f := range proxies[2:] {
		if n := f.notified(); n != 0 {
			t.Errorf("contender %d got %d events from the release, expected none", i+3, n)
		}
	}
}
