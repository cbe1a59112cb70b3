package locks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A server is one that a test may stop.
type server interface {
	Pause(testing.TB)
	Resume(testing.TB)
	Restart(testing.TB)
}

// ownServer is a fresh lock on a server of the test's own.
func ownServer(t testing.TB, b backend) (*rig, server) {
	t.Helper()
	if b.name == "etcd" {
		s := testkit.Etcd(t, testkit.EtcdOptions{})
		return onEtcd(t, s, s.Addr()), s
	}
	s := testkit.ZooKeeper(t, testkit.ZKOptions{Super: superuser})
	return onZooKeeper(t, s, s.Addr()), s
}

// beats is how many heartbeats of a job were acknowledged.
func beats(t testing.TB, j *scene.Job) int {
	t.Helper()
	_, body, err := j.Get("/status")
	must(t, err)
	var st struct{ Heartbeats map[string]int }
	must(t, json.Unmarshal([]byte(body), &st))
	n, ok := st.Heartbeats["committed"]
	if !ok {
		t.Fatalf("status has no heartbeats: %s", body)
	}
	return n
}

// goesOn waits for further heartbeats of a holder whose payload must not have noticed anything.
func (r *rig) goesOn(t testing.TB, j *scene.Job, token, after string) {
	t.Helper()
	from := beats(t, j)
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		return beats(t, j) >= from+3, fmt.Sprintf("after %s: %d heartbeats, were %d", after, beats(t, j), from)
	})
	if st, err := j.Status(); err != nil || st.Phase != "serving" || st.Lock.Token != token || !st.Lock.Held {
		t.Errorf("after %s: %+v (%v): expected it to serve with token %s", after, st, err, token)
	}
	if n := r.Count(t, "begin"); n != 1 || r.Count(t, "signal-15") != 0 {
		t.Errorf("after %s: %d payloads began, or one was told to stop: expected nobody to notice", after, n)
	}
}

// A server that stops or restarts costs nothing as long as the timing allows; one that stays away costs the
// lock, and the payload is dead before its lease has run out.
func TestServerAway(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		const hold = 9 * time.Second
		r, s := ownServer(t, b)
		r.Timing = timing("--hold", hold.String(), "--try-timeout", "600ms")
		r.initialise(t)
		a := r.Run(t, "a")
		token, _ := r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		r.queued(t, 2)
		s.Pause(t)
		<-time.After(2500 * time.Millisecond) // the fault itself takes time
		s.Resume(t)
		r.goesOn(t, a, token, "a pause")
		s.Restart(t)
		r.goesOn(t, a, token, "a restart")
		r.queued(t, 2)
		if st, err := next.Status(); err != nil || st.Phase != "locking" {
			t.Errorf("b is %s (%v), expected it to wait on", st.Phase, err)
		}
		if b.name == "etcd" {
			// Its leases run out while it stands still: who waits there would be granted the lock, and lose it at once.
			next.Stop(t)
			r.Timing = timing("--hold", "40s", "--try-timeout", "600ms")
			next = r.Run(t, "c")
			r.queued(t, 2)
		}
		paused := scene.Now()
		s.Pause(t)
		a.Expect(t, hold+5*time.Second, 76)
		atMost(t, "from the pause to the payload's death", r.last(t, token)-paused, hold)
		atLeast(t, "from the pause to the payload's death", r.last(t, token)-paused, hold/2)
		s.Resume(t)
		resumed := scene.Now()
		_, at := r.serves(t, next, 2*hold+10*time.Second)
		atMost(t, "take-over after the server was back", at-resumed, hold+serverTick+hold+start)
		stopped(t, next)
		if order := r.Judge(t); len(order) != 2 {
			t.Errorf("tenures %v: expected two", order)
		}
	})
}

// through is the same scene with the lock's address behind a proxy. Its jobs keep their own files apart:
// a claim names the lock with its address.
func (r *rig) through(t testing.TB, addr string, flags ...string) (*scene.Scene, []scene.Option) {
	t.Helper()
	s := *r.Scene
	scheme, rest, _ := strings.Cut(r.Lock, "://")
	_, path, _ := strings.Cut(rest, "/")
	s.Lock = scheme + "://" + addr + "/" + path
	return &s, []scene.Option{scene.Flags(append(flags, "--state-dir", testkit.PublicDir(t))...)}
}

// A client cut off from the service by what lies between: the payload is dead before the lease has run out,
// and the successor, who sees the service, starts after that.
func TestClientCut(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		for name, cut := range map[string]func(*testkit.Proxy){
			"hang": (*testkit.Proxy).Hang, "refuse": (*testkit.Proxy).Refuse,
			"lost-replies": (*testkit.Proxy).LoseReplies, "lost-requests": (*testkit.Proxy).LoseRequests,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := testkit.NewProxy(t, b.addr(t))
				r := b.fresh(t, "")
				r.initialise(t)
				far, options := r.through(t, p.Addr())
				a := far.Run(t, "a", append(options, r.Payload(t, "-ignore-term"))...)
				token, _ := r.serves(t, a, 5*time.Second)
				next := r.Run(t, "b")
				r.queued(t, 2)
				at := scene.Now()
				cut(p)
				a.Expect(t, 10*time.Second, 76)
				atMost(t, "from the cut to the payload's death", r.last(t, token)-at, scene.Hold)
				_, began := r.serves(t, next, 20*time.Second)
				atLeast(t, "from the cut to the successor's start", began-at, scene.Hold-beatSlack)
				atMost(t, "from the cut to the successor's start", began-at, scene.Hold+scene.Hold+serverTick+start)
				stopped(t, next)
				r.Judge(t)
			})
		}
	})
}

// What a network does on ordinary days: connections dropped, a reply lost, everything slow. Nobody notices.
func TestRoughNetwork(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		p := testkit.NewProxy(t, b.addr(t))
		r := b.fresh(t, "")
		r.Timing = timing("--hold", "9s", "--try-timeout", "1500ms")
		r.initialise(t)
		far, options := r.through(t, p.Addr())
		a := far.Run(t, "a", options...)
		token, _ := r.serves(t, a, 5*time.Second)
		for range 3 {
			p.Drop()
			r.goesOn(t, a, token, "a dropped connection")
		}
		for range 3 {
			p.CutNextReply()
			r.goesOn(t, a, token, "a lost reply")
		}
		p.Delay(300 * time.Millisecond)
		r.goesOn(t, a, token, "a delay of 300 ms")
		r.goesOn(t, a, token, "a longer delay")
		p.Hang()
		<-time.After(1500 * time.Millisecond)
		p.Pass(t)
		r.goesOn(t, a, token, "a short hang")
		p.Refuse()
		<-time.After(1500 * time.Millisecond)
		p.Pass(t)
		r.goesOn(t, a, token, "a short refusal")
		stopped(t, a)
		if rec := r.read(t); rec.Phase != "drained" {
			t.Errorf("at the end the record says %+v", rec)
		}
	})
}

// Of two addresses the one in use goes away, by turns: the lock is kept by the other.
func TestOtherAddress(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		one, two := testkit.NewProxy(t, b.addr(t)), testkit.NewProxy(t, b.addr(t))
		r := b.fresh(t, one.Addr()+","+two.Addr())
		r.Timing = timing("--hold", "9s", "--try-timeout", "1500ms")
		r.initialise(t)
		a := r.Run(t, "a")
		token, _ := r.serves(t, a, 5*time.Second)
		for range 2 {
			one.Refuse()
			r.goesOn(t, a, token, "the first address refused")
			one.Pass(t)
			two.Hang()
			r.goesOn(t, a, token, "the second address hung")
			two.Pass(t)
		}
		if one.Traffic().Conns == 0 || two.Traffic().Conns == 0 {
			t.Errorf("connections %d and %d: expected both addresses to have been used", one.Traffic().Conns, two.Traffic().Conns)
		}
		stopped(t, a)
	})
}
