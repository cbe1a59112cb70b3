package zk

import (
	"runtime"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

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
	if took := time.Since(start); took > quick().TryTimeout+500*time.Millisecond+testkit.Busy(t) {
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
