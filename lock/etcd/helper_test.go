package etcd

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

const limit = 30 * time.Second

func timing(hold time.Duration) lock.Timing {
	return lock.Timing{
		Hold: hold, Heartbeat: 300 * time.Millisecond, TryTimeout: time.Second, Tries: 2,
		KillBudget: 100 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute,
	}
}

// fresh names a lock that no other test uses, nor the same one run again: the server is shared.
func fresh(t *testing.T) string { return fmt.Sprintf("%s-%x", t.Name(), time.Now().UnixNano()) }

func settings(t *testing.T, hold time.Duration) lock.Settings {
	return lock.Settings{Timing: timing(hold), Holder: t.Name(), Node: "n1", Clock: clock.Now, Log: quiet(t).log}
}

// quiet logs to the test until the test ends.
type quietLog struct {
	mu sync.Mutex
	t  *testing.T
}

func quiet(t *testing.T) *quietLog {
	q := &quietLog{t: t}
	t.Cleanup(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.t = nil
	})
	return q
}

func (q *quietLog) log(msg string, args ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.t != nil {
		q.t.Log(append([]any{msg}, args...)...)
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	t.Cleanup(cancel)
	return ctx
}

// open makes a driver on one or more addresses; it is closed at the end.
func open(t *testing.T, s lock.Settings, name string, addrs ...string) lock.Driver {
	t.Helper()
	d, err := Open(bounded(t), &url.URL{Scheme: "etcd", Host: strings.Join(addrs, ","), Path: "/" + name}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func join(t *testing.T, d lock.Driver) *place {
	t.Helper()
	p, err := d.Join(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*place)
}

// hold joins and waits for the grant.
func hold(t *testing.T, d lock.Driver) *place {
	t.Helper()
	p := join(t, d)
	if err := testkit.Recv(t, limit, "the grant", awaiting(t, p)); err != nil {
		t.Fatal(err)
	}
	return p
}

func ignore(lock.Version, clock.Stamp) {}

// awaiting runs Await; its result comes through the channel.
func awaiting(t *testing.T, p *place) <-chan error {
	result := make(chan error, 1)
	ctx, cancel := context.WithCancel(bounded(t))
	var flight sync.WaitGroup
	flight.Go(func() { result <- p.Await(ctx, ignore) })
	t.Cleanup(func() { cancel(); flight.Wait() })
	return result
}

func write(t *testing.T, p *place, data string, after lock.Version, want lock.Outcome) lock.Result {
	t.Helper()
	r, err := p.Write(bounded(t), []byte(data), after)
	return expect(t, "write", r, err, want)
}

func release(t *testing.T, p *place, data string, after lock.Version, want lock.Outcome) lock.Result {
	t.Helper()
	r, err := p.Release(bounded(t), []byte(data), after)
	return expect(t, "release", r, err, want)
}

func expect(t *testing.T, what string, r lock.Result, err error, want lock.Outcome) lock.Result {
	t.Helper()
	if r.Outcome != want {
		t.Fatalf("%s came to outcome %d (%v), expected %d", what, r.Outcome, err, want)
	}
	return r
}

// ctl is etcdctl.
func ctl(t *testing.T, s *testkit.EtcdServer, args ...string) string {
	t.Helper()
	out, err := s.Ctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seeing runs Await for what it sees.
func seeing(t *testing.T, p *place, saw chan<- lock.Version) {
	ctx, cancel := context.WithCancel(bounded(t))
	var flight sync.WaitGroup
	flight.Go(func() {
		if err := p.Await(ctx, func(v lock.Version, _ clock.Stamp) { saw <- v }); err != nil && ctx.Err() == nil {
			t.Errorf("Await: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); flight.Wait() })
}
