package zk

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// quick is a short lease that a loaded machine still keeps.
func quick() lock.Timing {
	return lock.Timing{Hold: 6 * time.Second, Heartbeat: 300 * time.Millisecond, TryTimeout: time.Second, Tries: 3,
		KillBudget: 100 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute}
}

const patient = 30 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func settings() lock.Settings {
	return lock.Settings{Timing: quick(), Holder: "tester", Node: "here", Clock: clock.Now, Log: func(string, ...any) {}}
}

func opened(t testing.TB, url string, s lock.Settings) lock.Driver {
	t.Helper()
	u, err := ParseURL(url)
	must(t, err)
	d, err := Open(within(t, patient), u, s)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// joined puts a contender in and pulses it until the test ends.
func joined(t testing.TB, d lock.Driver) *place {
	t.Helper()
	p, err := d.Join(within(t, patient))
	must(t, err)
	pulseUntilEnd(t, p)
	return p.(*place)
}

func pulseUntilEnd(t testing.TB, p lock.Place) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.Pulse()
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func ignore(lock.Version, clock.Stamp) {}

func held(t testing.TB, d lock.Driver) *place {
	t.Helper()
	p := joined(t, d)
	must(t, p.Await(within(t, patient), ignore))
	return p
}

func awaiting(t testing.TB, p *place) <-chan error {
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patient)
	done := make(chan struct{})
	go func() { defer close(done); result <- p.Await(ctx, ignore) }()
	t.Cleanup(func() { cancel(); <-done })
	return result
}

func want(t testing.TB, r lock.Result, err error, o lock.Outcome) lock.Result {
	t.Helper()
	if r.Outcome != o {
		t.Fatalf("outcome %v (%v), expected %v", r.Outcome, err, o)
	}
	return r
}

func keys(t testing.TB, server *testkit.ZKServer, path string) []string {
	t.Helper()
	names, _, err := stranger(t, server).Children(path)
	must(t, err)
	return names
}

// A create whose reply is lost leaves one key, and that key is the place.
func TestCreateReplyLost(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	for name, what := range map[string]fault{"cut": cutReply, "hung": swallowReply} {
		t.Run(name, func(t *testing.T) {
			path := freshPath()
			held(t, opened(t, "zk://"+server.Addr()+path, settings())) // the parents are there
			f := newFaulty(t, server.Addr())
			d := opened(t, "zk://"+f.addr()+path, settings())
			f.arm(codeCreate, what)
			p := joined(t, d)
			f.release()
			testkit.Recv(t, patient, "the fault", f.hit)
			names := keys(t, server, path)
			if len(names) != 2 || position(queue(names, p.me.seq), p.me.name) != 1 {
				t.Fatalf("keys are %v, expected the holder's and %s", names, p.me.name)
			}
			must(t, p.Leave(within(t, patient)))
		})
	}
}

// A write or release whose reply is lost is ambiguous, and what follows tells what came of it.
func TestWriteReplyLost(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	for name, what := range map[string]fault{"cut": cutReply, "hung": swallowReply} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, server.Addr())
			p := held(t, opened(t, "zk://"+f.addr()+freshPath(), settings()))
			ctx := within(t, patient)
			r, err := p.Write(ctx, []byte("base"), lock.Version{})
			base := want(t, r, err, lock.Committed)
			f.arm(codeMulti, what)
			r, err = p.Write(ctx, []byte("mine"), base.Version)
			want(t, r, err, lock.Ambiguous)
			if err == nil {
				t.Fatal("an ambiguous write came without an error")
			}
			r, err = p.Write(ctx, []byte("mine"), base.Version)
			moved := want(t, r, err, lock.Moved)
			if string(moved.Current.Data) != "mine" {
				t.Fatalf("the record is %q, expected the write whose reply was lost", moved.Current.Data)
			}
			r, err = p.Write(ctx, []byte("next"), moved.Current.Version)
			want(t, r, err, lock.Committed)
			f.release()
		})
	}
}

func TestReleaseReplyLost(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	f := newFaulty(t, server.Addr())
	p := held(t, opened(t, "zk://"+f.addr()+path, settings()))
	f.arm(codeMulti, cutReply)
	r, err := p.Release(within(t, patient), []byte("bye"), lock.Version{})
	want(t, r, err, lock.Ambiguous)
	r, err = p.Release(within(t, patient), []byte("bye"), lock.Version{})
	want(t, r, err, lock.KeyGone)
	next := held(t, opened(t, "zk://"+server.Addr()+path, settings()))
	got, err := next.Read(within(t, patient))
	must(t, err)
	if string(got.Data) != "bye" {
		t.Fatalf("the record is %q, expected the release's", got.Data)
	}
}

// A reply that comes after its try was given up counts for nothing, and nothing of the try is left.
func TestLateReply(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	f := newFaulty(t, server.Addr())
	p := held(t, opened(t, "zk://"+f.addr()+freshPath(), settings()))
	r, err := p.Write(within(t, patient), []byte("base"), lock.Version{})
	base := want(t, r, err, lock.Committed)
	before := runtime.NumGoroutine()
	f.arm(codeMulti, swallowReply)
	start := time.Now()
	r, err = p.Write(within(t, patient), []byte("late"), base.Version)
	want(t, r, err, lock.Ambiguous)
	if took := time.Since(start); took > quick().TryTimeout+500*time.Millisecond {
		t.Errorf("the try took %v, expected %v", took, quick().TryTimeout)
	}
	f.release()
	r, err = p.Write(within(t, patient), []byte("other"), base.Version)
	want(t, r, err, lock.Moved)
	testkit.Wait(t, patient, func() (bool, string) {
		return runtime.NumGoroutine() <= before, "goroutines of the late try"
	})
}

// A server that hangs, also while it is being connected to, costs less than a third of the session.
func TestHungServerCost(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	a, b := newFaulty(t, server.Addr()), newFaulty(t, server.Addr())
	s := settings()
	s.Timing.Hold, s.Timing.TryTimeout = 9*time.Second, 10*time.Second // only the wire's own patience counts
	p := held(t, opened(t, "zk://"+a.addr()+","+b.addr()+freshPath(), s))
	l, err := p.s.link(within(t, patient))
	must(t, err)
	used, other := a, b
	if l.server == b.addr() {
		used, other = b, a
	}
	other.arm(0, swallowHello) // the first reconnect hangs too
	used.arm(codeMulti, swallowReply)
	start := time.Now()
	r, err := p.Write(within(t, patient), []byte("x"), lock.Version{})
	want(t, r, err, lock.Ambiguous)
	lost := time.Since(start)
	r, err = p.Write(within(t, patient), []byte("x"), lock.Version{})
	want(t, r, err, lock.Moved)
	took := time.Since(start)
	third := p.s.known().granted / 3
	t.Logf("hung server noticed after %v, served again after %v, a third of the session is %v", lost, took, third)
	if lost >= third || took-lost >= third {
		t.Errorf("hung server cost %v and the next %v, expected each less than %v", lost, took-lost, third)
	}
	used.release()
	other.release()
}

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
			_, n := proxies[0].counts()
			return n > i && watchesOf(t, server, path) == 6, "the next in line is notified"
		})
	}
	for i, f := range proxies[1:] {
		if _, n := f.counts(); n != 0 {
			t.Errorf("contender %d got %d events from %d heartbeats, expected none", i+2, n, beats)
		}
	}
	r, err := p.Release(within(t, patient), []byte("bye"), v)
	want(t, r, err, lock.Committed)
	must(t, testkit.Recv(t, patient, "the grant", grants[0]))
	for i, f := range proxies[2:] {
		if _, n := f.counts(); n != 0 {
			t.Errorf("contender %d got %d events from the release, expected none", i+3, n)
		}
	}
}
