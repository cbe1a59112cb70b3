package zk

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// An expired session is told by Gone, and that the key is gone by the service itself.
func TestExpiredSaysKeyGone(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	p := held(t, opened(t, "zk://"+server.Addr()+freshPath(), settings()))
	r, err := p.Write(within(t, patient), []byte("mine"), lock.Version{})
	v := want(t, r, err, lock.Committed).Version
	expire(t, server.Addr(), p.s)
	select {
	case <-p.Gone():
	case <-within(t, patient).Done():
		t.Fatal("Gone is not closed after the session expired")
	}
	r, err = p.Write(within(t, patient), []byte("late"), v)
	want(t, r, err, lock.KeyGone)
	r, err = p.Release(within(t, patient), []byte("late"), v)
	want(t, r, err, lock.KeyGone)
	if err := p.KeepAlive(within(t, patient)); !errors.Is(err, lock.ErrPlaceLost) {
		t.Errorf("KeepAlive gave %v, expected ErrPlaceLost", err)
	}
	must(t, p.Leave(within(t, patient)))
}

// A key that somebody deletes is noticed by its holder without any request of the holder's.
func TestGoneByWatch(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	proxy := testkit.NewProxy(t, server.Addr())
	p := held(t, opened(t, "zk://"+proxy.Addr()+freshPath(), settings()))
	proxy.Drop() // the watch must be there on the next connection, too
	testkit.Wait(t, patient, func() (bool, string) {
		_, err := p.Read(within(t, patient))
		return err == nil, fmt.Sprint(err)
	})
	must(t, stranger(t, server).Delete(p.key, -1))
	select {
	case <-p.Gone():
	case <-within(t, patient).Done():
		t.Fatal("Gone is not closed after the key was deleted")
	}
}

// Who becomes next in line between its look at the queue and its watch learns of it all the same.
func TestNextInLineUnnoticed(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	url := "zk://" + server.Addr() + path
	first := held(t, opened(t, url, settings()))
	second := joined(t, opened(t, url, settings()))
	granted := awaiting(t, second)
	f := newFaulty(t, server.Addr())
	third := joined(t, opened(t, "zk://"+f.addr()+path, settings()))
	seen := make(chan lock.Version, 10)
	f.arm(codeChildren, swallowReply)
	ctx, cancel := context.WithCancel(within(t, patient))
	done := make(chan error, 1)
	go func() { done <- third.Await(ctx, func(v lock.Version, _ clock.Stamp) { seen <- v }) }()
	testkit.Recv(t, patient, "the list is under way", f.hit)
	must(t, first.Leave(within(t, patient)))
	must(t, testkit.Recv(t, patient, "the grant", granted))
	f.release()
	testkit.Wait(t, patient, func() (bool, string) { return third.Ahead().Key == second.me.name, "the third waits" })
	r, err := second.Write(within(t, patient), []byte("beat"), lock.Version{})
	want(t, r, err, lock.Committed)
	if v := testkit.Recv(t, patient, "the heartbeat", seen); v != r.Version {
		t.Errorf("saw %+v, expected %+v", v, r.Version)
	}
	cancel()
	if err := testkit.Recv(t, patient, "the end of Await", done); !errors.Is(err, context.Canceled) {
		t.Errorf("Await gave %v", err)
	}
}

// Our own name is no proof: the key must be of the session that made it.
func TestKeyOfAnotherSession(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	url := "zk://" + server.Addr() + path
	first := held(t, opened(t, url, settings()))
	p := joined(t, opened(t, url, settings()))
	c := stranger(t, server)
	must(t, c.Delete(p.key, -1))
	_, err := c.Create(p.key, p.value, gozk.FlagEphemeral, settingsACL())
	must(t, err)
	must(t, first.Leave(within(t, patient)))
	if err := p.Await(within(t, patient), ignore); !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("Await on a key of another session gave %v, expected ErrPlaceLost", err)
	}
}

// T1: the read comes behind a write on the own key, on the same connection.
func TestReadWritesOwnKeyFirst(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	p := held(t, opened(t, "zk://"+server.Addr()+freshPath(), settings()))
	c := stranger(t, server)
	_, before, err := c.Get(p.key)
	must(t, err)
	_, err = p.Read(within(t, patient))
	must(t, err)
	_, after, err := c.Get(p.key)
	must(t, err)
	if after.Version != before.Version+1 {
		t.Fatalf("the key's version went from %d to %d by a read, expected one write", before.Version, after.Version)
	}
}

// A new connection tells what was seen, so that a server that lags behind refuses it.
func TestReconnectTellsZxid(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	f := newFaulty(t, server.Addr())
	p := held(t, opened(t, "zk://"+f.addr()+freshPath(), settings()))
	r, err := p.Write(within(t, patient), []byte("one"), lock.Version{})
	v := want(t, r, err, lock.Committed).Version
	f.arm(codeMulti, cutReply)
	r, err = p.Write(within(t, patient), []byte("two"), v)
	want(t, r, err, lock.Ambiguous)
	_, err = p.Read(within(t, patient))
	must(t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.zxids) != 2 || f.zxids[0] != 0 || f.zxids[1] < v.Seen {
		t.Fatalf("connections told zxids %#x, expected 0 and at least %#x", f.zxids, v.Seen)
	}
}

// When all is closed nothing is left: no goroutine, no connection, no key of a contender.
func TestNothingLeft(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	before := runtime.NumGoroutine()
	s := settings()
	s.Timing.Hold = 2 * time.Second
	var drivers []lock.Driver
	for range 3 {
		u, err := ParseURL("zk://" + server.Addr() + path)
		must(t, err)
		d, err := Open(within(t, patient), u, s)
		must(t, err)
		drivers = append(drivers, d)
		p, err := d.Join(within(t, patient))
		must(t, err)
		if len(drivers) == 1 {
			must(t, p.Await(within(t, patient), ignore))
		}
	}
	for _, d := range drivers {
		must(t, d.Close())
		must(t, d.Close())
		if _, err := d.Join(within(t, patient)); err == nil {
			t.Error("a closed driver joins")
		}
	}
	testkit.Wait(t, patient, func() (bool, string) {
		n := runtime.NumGoroutine()
		return n <= before+1, fmt.Sprintf("%d goroutines, %d before", n, before)
	})
	c := stranger(t, server)
	names, _, err := c.Children(path)
	must(t, err)
	if len(names) != 1 {
		t.Errorf("right after Close the keys are %v, expected only the holder's", names)
	}
	testkit.Wait(t, patient, func() (bool, string) {
		names, _, err := c.Children(path)
		return err == nil && len(names) == 0, fmt.Sprint("the holder's key expires: ", names)
	})
}

// Doctor says what is wrong and creates nothing.
func TestDiagnoseFindings(t *testing.T) {
	server := testkit.ZooKeeper(t, testkit.ZKOptions{Super: "super:secret", Tick: time.Second, Config: []string{"maxSessionTimeout=4000"}})
	c := stranger(t, server)
	url := "zk://" + server.Addr() + "/a/b"
	_, before, err := c.Get("/")
	must(t, err)
	told := doctor(t, url, settings())
	for _, words := range []string{"ok ZooKeeper 3.8", "warn granted 4s", "ok may create keys", "ok no state record"} {
		expectLine(t, told, words)
	}
	_, after, err := c.Get("/")
	must(t, err)
	if after.Cversion != before.Cversion {
		t.Error("doctor changed the tree")
	}
	held(t, opened(t, url, as("alice", "hunter2"))).over(true)
	expectLine(t, doctor(t, url, settings()), "fail may not create keys")
	p := held(t, opened(t, url, as("alice", "hunter2")))
	r, err := p.Write(within(t, patient), []byte("x"), lock.Version{})
	v := want(t, r, err, lock.Committed).Version
	expectLine(t, doctor(t, url, as("alice", "hunter2")), "ok read and write the state record")
	if got, err := p.Read(within(t, patient)); err != nil || got.Version != v {
		t.Errorf("after doctor the record is at %+v (%v), expected %+v", got.Version, err, v)
	}
}

func doctor(t testing.TB, url string, s lock.Settings) []lock.Diagnosis {
	t.Helper()
	return opened(t, url, s).Diagnose(within(t, patient))
}

// expectLine wants a line of that level with the rest of the words in it.
func expectLine(t testing.TB, lines []lock.Diagnosis, words string) {
	t.Helper()
	level, text, _ := strings.Cut(words, " ")
	for _, l := range lines {
		if l.Level == level && strings.Contains(l.What, text) {
			return
		}
	}
	t.Errorf("no line %q with %q in %+v", level, text, lines)
}
