package lifecycle

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/supervise"
)

// A scriptedCourier answers requests at once, or holds them.
type scriptedCourier struct {
	t      *testing.T
	guard  *scriptedGuard
	answer func(courier.Request) *courier.Answer // nil: holds it until it is killed
	says   func() string                         // instead of an answer, if set
	ends   bool                                  // without an answer, while something holds its pipe

	mu    sync.Mutex
	asked []courier.Request
}

func (c *scriptedCourier) start(s supervise.Spec) bool {
	if !s.Courier {
		return false
	}
	line, err := bufio.NewReader(s.Stdin).ReadBytes('\n')
	var q courier.Request
	if err != nil || json.Unmarshal(line, &q) != nil {
		c.t.Errorf("request %q: %v", line, err)
		return false
	}
	c.mu.Lock()
	c.asked = append(c.asked, q)
	c.mu.Unlock()
	if c.ends {
		c.hold(s.Stdout)
		return false
	}
	if c.says != nil {
		if _, err := s.Stdout.WriteString(c.says()); err != nil {
			c.t.Error(err)
		}
		return false
	}
	a := c.answer(q)
	if a == nil {
		c.hold(s.Stdout)
		return true
	}
	data, err := json.Marshal(courier.Line{Answer: a})
	if err == nil {
		_, err = s.Stdout.Write(append(data, '\n'))
	}
	if err != nil {
		c.t.Error(err)
	}
	return false // and it ends
}

// hold keeps the courier's end of the pipe open, as a courier does that is at work.
func (c *scriptedCourier) hold(out *os.File) {
	fd, err := syscall.Dup(int(out.Fd()))
	if err != nil {
		c.t.Error(err)
		return
	}
	f := os.NewFile(uintptr(fd), "held")
	c.t.Cleanup(func() { _ = f.Close() })
}

func (c *scriptedCourier) ops() (ops []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.asked {
		ops = append(ops, q.Op)
	}
	return ops
}

func done() *courier.Answer {
	return &courier.Answer{Snapshot: snapshot.Snapshot{ID: snapshot.NewID(time.Now(), 7), Time: time.Now(), Bytes: 7, Stored: 5}}
}

// withStore begins a run with a store, whose couriers do what answer says; nil: all well.
func withStore(t *testing.T, prepare func(*Plan, *run), answer func(courier.Request) *courier.Answer, change ...func(*scriptedCourier)) (*run, *scriptedCourier) {
	t.Helper()
	c := &scriptedCourier{t: t, answer: answer}
	for _, f := range change {
		f(c)
	}
	if answer == nil {
		c.answer = func(courier.Request) *courier.Answer { return done() }
	}
	x := begin(t, func(p *Plan, x *run) {
		c.guard = x.guard
		p.Store.Errand.Store = config.Store{URL: "file:///store"}
		p.Store.Errand.Who.Scope = snapshot.Scope{Lock: "/l", Kind: "file"}
		p.Store.Errand.Backup.Timeout = time.Minute
		if prepare != nil {
			prepare(p, x)
		}
		others := x.guard.onStart
		x.guard.onStart = func(s supervise.Spec) bool {
			if s.Courier {
				return c.start(s)
			}
			return others != nil && others(s)
		}
	})
	return x, c
}

func onStop(p *Plan, _ *run) { p.Store.OnStop = true }

// The store's claim comes first of all, and a run without it starts nothing.
func TestClaimOfTheStore(t *testing.T) {
	x, c := withStore(t, nil, nil)
	x.in(Serving)
	calls := x.guard.soFar() // heartbeats go on
	if first := calls[slices.IndexFunc(calls, func(s string) bool { return s != "lease" })]; first != "start courier" {
		t.Errorf("calls %v: expected the claim first", calls)
	}
	if q := c.asked[0]; q.Who.Token != 100 || q.Who.Scope.Lock != "/l" || q.Timeout != 4500*time.Millisecond || q.Reach != q.Timeout {
		t.Errorf("request %+v", q)
	}
	x.signal(syscall.SIGTERM)
	x.ends(143)

	x, _ = withStore(t, nil, func(courier.Request) *courier.Answer { return &courier.Answer{Code: 69, Error: "no answer"} })
	if v := x.ends(69); !strings.Contains(v.Reason, "no answer") || x.guard.noted("start payload") {
		t.Errorf("%+v, calls %v", v, x.guard.calls)
	}
}

// A courier that dies without an answer, or says what is none, is a failure.
func TestCourierWithoutAnAnswer(t *testing.T) {
	for _, said := range []string{"", "{}\n", "no line\n", `{"answer":{}`} {
		x, _ := withStore(t, nil, nil, func(c *scriptedCourier) { c.says = func() string { return said } })
		x.ends(69)
		if x.guard.noted("start payload") {
			t.Errorf("%q: the payload was started without the claim", said)
		}
	}
}

// A courier that has ended, while what it had begun hangs with its pipe, is waited for no longer.
func TestCourierWhosePipeStaysOpen(t *testing.T) {
	x, _ := withStore(t, nil, nil, func(c *scriptedCourier) { c.ends = true })
	select {
	case v := <-x.ended:
		if v.Code != 69 {
			t.Errorf("%+v: expected exit code 69", v)
		}
	case <-time.After(5 * lastWords):
		t.Fatalf("phase %s, though its courier has ended", x.r.Status().Phase)
	}
}

// A request that its pipe cannot take is an error: the deciding loop waits for no reader.
func TestFill(t *testing.T) {
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(in, w)
	if err := fill(w, make([]byte, 100<<10)); err != nil { // more than a pipe takes
		t.Errorf("it was not made larger: %v", err)
	}
	for range 2 { // cut, then without any room
		if err = fill(w, make([]byte, 64<<10)); err == nil {
			t.Error("nobody has read, and yet it took more")
		}
	}
}

// on_stop: after the proof of death, before the last word, under the lock; then what it left is killed too.
func TestSaving(t *testing.T) {
	for name, failed := range map[string]bool{"published": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			x, c := withStore(t, onStop, func(q courier.Request) *courier.Answer {
				if failed && q.Op == courier.OpBackup {
					return &courier.Answer{Code: 73, Error: "no"}
				}
				return done()
			})
			x.in(Serving)
			x.signal(syscall.SIGTERM)
			x.ends(143)
			x.releasedAs(lock.Drained)
			if q := c.asked[len(c.asked)-1]; q.Op != courier.OpBackup || !q.OnStop {
				t.Errorf("asked last: %+v", q)
			}
			calls := x.guard.calls[slices.Index(x.guard.calls, "kill"):]
			calls = slices.DeleteFunc(calls, func(s string) bool { return s == "lease" })
			if want := []string{"kill", "start courier", "kill", "finish"}; !slices.Equal(calls, want) {
				t.Errorf("calls %v, expected %v", calls, want)
			}
			if n := x.r.Status().Store.Counts[name]; n != 1 {
				t.Errorf("%+v", x.r.Status().Store)
			}
		})
	}
}

// What a payload left that did not end in order is no snapshot.
func TestNoSavingAfterACrash(t *testing.T) {
	for _, status := range []syscall.WaitStatus{3 << 8, syscall.WaitStatus(syscall.SIGKILL), syscall.WaitStatus(syscall.SIGSEGV)} {
		x, c := withStore(t, onStop, nil)
		x.in(Serving)
		x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID, Status: status}
		x.ends(exitCode(status))
		if slices.Contains(c.ops(), courier.OpBackup) {
			t.Errorf("status %#x: saved", status)
		}
	}
	x, c := withStore(t, onStop, nil)
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
	x.ends(0)
	if !slices.Contains(c.ops(), courier.OpBackup) {
		t.Error("a payload that ended with 0 was not saved")
	}
}

// held answers all but backups.
func held(q courier.Request) *courier.Answer {
	if q.Op == courier.OpBackup {
		return nil
	}
	return done()
}

// The lock is lost while the last backup is taken: it is killed at once, and the end goes on.
func TestLossWhileSaving(t *testing.T) {
	x, c := withStore(t, onStop, held)
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Saving)
	x.until("the backup", func() bool { return len(c.ops()) == 2 })
	kills := x.guard.count("kill")
	x.lock.expire()
	x.ends(143)
	if x.guard.count("kill") == kills || !x.guard.noted("finish") {
		t.Errorf("calls %v: expected a kill after the loss", x.guard.calls)
	}
	if n := x.r.Status().Store.Counts[resultCut]; n != 1 {
		t.Errorf("%+v", x.r.Status().Store)
	}
}

// Backups by schedule come one after the other; failures are counted and tried again; a stop kills the one
// under way, and nothing waits for it.
func TestScheduledBackups(t *testing.T) {
	tries := 0
	x, c := withStore(t, func(p *Plan, _ *run) {
		p.Store.Next = func(after time.Time) time.Time { return after.Add(10 * time.Millisecond) }
	}, func(q courier.Request) *courier.Answer {
		if q.Op != courier.OpBackup {
			return &courier.Answer{}
		}
		switch tries++; tries {
		case 1:
			return done()
		case 2:
			return &courier.Answer{Code: 69, Error: "down"}
		case 3:
			return done()
		}
		return nil
	})
	x.until("the fourth backup", func() bool { return len(c.ops()) == 5 })
	x.until("the count", func() bool { return x.r.Status().Store.UnderWay != nil })
	st := x.r.Status().Store
	if st.Counts[resultPublished] != 2 || st.Counts[resultFailed] != 1 || st.Failure != "" || st.Total != 10 || st.Taken == nil {
		t.Errorf("%+v", st)
	}
	if q := c.asked[4]; q.OnStop {
		t.Errorf("%+v", q)
	}
	x.signal(syscall.SIGTERM)
	x.ends(143)
	if !x.guard.noted("kill one") || x.r.Status().Store.Counts[resultCut] != 1 {
		t.Errorf("calls %v, %+v", x.guard.calls, x.r.Status().Store)
	}
	x.releasedAs(lock.Drained)
}

// The store has seen a later token: that is a loss, as with the claim file.
func TestFencedOffByTheStore(t *testing.T) {
	x, _ := withStore(t, func(p *Plan, _ *run) {
		p.Store.Next = func(after time.Time) time.Time { return after.Add(10 * time.Millisecond) }
	}, func(q courier.Request) *courier.Answer {
		if q.Op == courier.OpBackup {
			return &courier.Answer{Code: 76, Error: "fenced off"}
		}
		return done()
	})
	x.ends(76)
	if !x.guard.noted("signal 1 15") {
		t.Errorf("calls %v: the payload was not told to end", x.guard.calls)
	}
}

// A backup that nobody took while nobody ran is made up for, and no sooner than the service has begun.
func TestMissedSlot(t *testing.T) {
	for name, c := range map[string]struct {
		newest time.Duration
		want   time.Duration
	}{"missed": {-48 * time.Hour, overdueWait}, "recent": {-time.Hour, 23 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			x, _ := withStore(t, func(p *Plan, _ *run) {
				p.Store.Next = func(after time.Time) time.Time { return after.Add(24 * time.Hour) }
			}, func(q courier.Request) *courier.Answer {
				return &courier.Answer{Newest: snapshot.Snapshot{ID: snapshot.NewID(time.Now(), 7), Time: time.Now().Add(c.newest)}}
			})
			x.in(Serving)
			x.until("the next one", func() bool { return x.r.Status().Store.Next != nil })
			if in := time.Until(*x.r.Status().Store.Next); in > c.want || in < c.want-10*time.Second {
				t.Errorf("the next one comes in %v, expected %v", in, c.want)
			}
			x.signal(syscall.SIGTERM)
			x.ends(143)
		})
	}
}

// The first retry comes soon, later ones later, and never behind the next slot.
func TestFollowing(t *testing.T) {
	r := &Runner{log: slog.New(slog.DiscardHandler), plan: Plan{Store: StorePlan{Next: func(t time.Time) time.Time { return t.Add(time.Hour) }}}}
	now := wall()
	last := time.Duration(0)
	for tries := range 12 {
		in := r.following(os.ErrInvalid, now, tries).Sub(now)
		if in < last || in > maxRetry+time.Second || tries == 0 && in > firstRetry+time.Second {
			t.Errorf("try %d comes in %v, the one before in %v", tries, in, last)
		}
		last = in
	}
	if in := r.following(nil, now, 0).Sub(now); in < 59*time.Minute {
		t.Errorf("after a success: %v", in)
	}
	r.plan.Store.Next = func(t time.Time) time.Time { return t.Add(time.Second) }
	if in := r.following(os.ErrInvalid, now, 9).Sub(now); in > 2*time.Second {
		t.Errorf("behind the next slot: %v", in)
	}
}
