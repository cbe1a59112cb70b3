package etcd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// TestLostReplyOfJoin: the key was made though the reply was lost; it is found by its name and queues
// once.
func TestLostReplyOfJoin(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	px := newProxy(t, s.Addr())
	heard := px.loseReply(mark + "{")
	d := open(t, settings(t, 5*time.Second), name, px.addr())
	p := hold(t, d)
	testkit.Recv(t, limit, "the put", done(heard))
	if n := keys(t, s, name+"/"); n != 1 {
		t.Fatalf("%d keys in the queue, expected 1", n)
	}
	write(t, p, "one", lock.Version{}, lock.Committed)
}

// TestLostReplyOfWrite: the try is ambiguous, was sent once, and its own content shows in the next try.
func TestLostReplyOfWrite(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	px := newProxy(t, s.Addr())
	p := hold(t, open(t, settings(t, 5*time.Second), name, px.addr()))
	base := write(t, p, "base", lock.Version{}, lock.Committed).Version
	px.loseReply("second")
	r, err := p.Write(bounded(t), []byte("second"), base)
	if r.Outcome != lock.Ambiguous || !errors.Is(err, lock.ErrUnreachable) {
		t.Fatalf("outcome %d with %v, expected an ambiguous one with ErrUnreachable", r.Outcome, err)
	}
	r = again(t, func() (lock.Result, error) { return p.Write(bounded(t), []byte("third"), base) })
	expect(t, "write", r, nil, lock.Moved)
	if string(r.Current.Data) != "second" {
		t.Fatalf("record is %q, expected the write whose reply was lost", r.Current.Data)
	}
	write(t, p, "third", r.Current.Version, lock.Committed)
	if out := ctl(t, s, "get", "-w", "fields", name+".interlock"); !strings.Contains(out, "\"Version\" : 3\n") {
		t.Fatalf("expected three writes of the record in all:\n%s", out)
	}
}

// TestLostReplyOfRelease: the lock is free, the record says so, and asking again shows that the key went.
func TestLostReplyOfRelease(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	px := newProxy(t, s.Addr())
	p := hold(t, open(t, settings(t, 5*time.Second), name, px.addr()))
	base := write(t, p, "base", lock.Version{}, lock.Committed).Version
	px.loseReply("drained")
	release(t, p, "drained", base, lock.Ambiguous)
	expect(t, "release", again(t, func() (lock.Result, error) { return p.Release(bounded(t), []byte("drained"), base) }), nil, lock.KeyGone)
	got, err := p.Read(bounded(t))
	if err != nil || string(got.Data) != "drained" {
		t.Fatalf("record is %q (%v), expected what the release wrote", got.Data, err)
	}
	testkit.Recv(t, limit, "Gone", done(p.Gone()))
}

// TestPutThatFailed: a key whose put failed does not stay in the queue.
func TestPutThatFailed(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	px := newProxy(t, s.Addr())
	set := settings(t, 20*time.Second)
	set.Timing.TryTimeout = 300 * time.Millisecond
	d := open(t, set, name, px.addr())
	heard := px.loseReply(mark + "{")
	joined := make(chan error, 1)
	go func() { _, err := d.Join(bounded(t)); joined <- err }()
	testkit.Recv(t, limit, "the put", done(heard))
	px.freeze() // so that neither the re-read nor the revocation gets through at once
	if err := testkit.Recv(t, limit, "the result of Join", joined); !errors.Is(err, lock.ErrUnreachable) {
		t.Fatalf("Join gave %v, expected ErrUnreachable", err)
	}
	px.thaw()
	testkit.Wait(t, limit, func() (bool, string) {
		return keys(t, s, name+"/") == 0, "the key of the failed Join is still in the queue"
	})
}

// again repeats an ambiguous try, as the heartbeat loop does.
func again(t *testing.T, try func() (lock.Result, error)) lock.Result {
	t.Helper()
	var r lock.Result
	testkit.Wait(t, limit, func() (bool, string) {
		var err error
		r, err = try()
		return r.Outcome != lock.Ambiguous, fmt.Sprint("still ambiguous: ", err)
	})
	return r
}

func done(c <-chan struct{}) <-chan bool {
	out := make(chan bool, 1)
	go func() { <-c; out <- true }()
	return out
}

func keys(t *testing.T, s *testkit.EtcdServer, prefix string) int {
	t.Helper()
	return len(strings.Fields(ctl(t, s, "get", "--prefix", "--keys-only", prefix)))
}
