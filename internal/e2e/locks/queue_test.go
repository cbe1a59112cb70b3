package locks

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// --lock-wait bounds the time until the grant: exit 75, and who holds the lock, since when, by which token.
func TestBoundedWait(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "holder-a")
		token, _ := r.serves(t, a, 5*time.Second)
		for _, wait := range []time.Duration{0, time.Second} {
			began := scene.Now()
			why := r.Run(t, "waits-"+wait.String(), scene.Flags("--lock-wait", wait.String())).Expect(t, 10*time.Second, 75)
			atLeast(t, "--lock-wait "+wait.String(), scene.Now()-began, wait)
			atMost(t, "--lock-wait "+wait.String(), scene.Now()-began, wait+3*time.Second)
			says(t, why, "holder-a", "since 20", "token "+token)
		}
		if keys := r.Keys(t); len(keys) != 1 {
			t.Errorf("keys after two refusals: %v", keys)
		}
		stopped(t, a)
		if len(r.Judge(t)) != 1 {
			t.Error("a contender that was refused ran its payload")
		}
		// The hold-off after the grant is not bounded by it, and a free lock is granted in the one try.
		r.serves(t, r.Run(t, "free", scene.Flags("--lock-wait", "0")), 5*time.Second)
	})
}

// TERM ends a contender at once; it leaves no key and starts nothing.
func TestTermInTheQueue(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		if next.WaitPhase(t, 10*time.Second, "locking"); b.name != "file" {
			r.queued(t, 2)
		}
		at := scene.Now()
		next.Signal(t, syscall.SIGTERM)
		next.Expect(t, 5*time.Second, 128+int(syscall.SIGTERM))
		atMost(t, "end after TERM", scene.Now()-at, 1500*time.Millisecond)
		if keys := r.Keys(t); len(keys) != 1 {
			t.Errorf("keys after the contender ended: %v", keys)
		}
		stopped(t, a)
		if len(r.Judge(t)) != 1 {
			t.Error("the contender started its payload")
		}
	})
}

// A contender killed in the queue leaves a key that expires; those behind it wait no longer than that.
func TestKilledInTheQueue(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		r.queued(t, 2)
		third := r.Run(t, "c")
		r.queued(t, 3)
		killed := killBoth(t, next)
		stopped(t, a)
		_, at := r.serves(t, third, 15*time.Second)
		// The key expires, or for ZooKeeper one tick later. a had drained: nothing is owed.
		atMost(t, "the wait behind a dead contender's key", at-killed, scene.Hold+3*time.Second)
		if keys := r.Keys(t); len(keys) != 1 {
			t.Errorf("keys: %v, expected c's alone", keys)
		}
		r.Judge(t)
	})
}

// A contender that loses its place, because its key was removed, queues anew under another name (E1): it has no
// tenure to lose. The next in line does so while the one ahead still serves: it learns of it by a heartbeat.
func TestPlaceRemoved(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		r.serves(t, a, 20*time.Second)
		next := r.Run(t, "b")
		old := r.queued(t, 2)[1]
		testkit.Wait(t, 20*time.Second, func() (bool, string) { // no list of its own tells it any more
			s, err := next.Status()
			return err == nil && s.Lock.Ahead == "a", fmt.Sprintf("%+v, %v", s.Lock, err)
		})
		r.RemoveKey(t, old)
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			keys := r.Keys(t)
			return len(keys) == 2 && keys[1] != old, "in the queue: " + strings.Join(keys, " ")
		})
		stopped(t, a)
		r.serves(t, next, 20*time.Second)
		stopped(t, next)
		if len(r.Judge(t)) != 2 {
			t.Error("expected a's payload and then b's")
		}
	})
}

// A service that nobody reaches: exit 69 within the wait; with forever the run starts once it is there.
func TestUnreachableService(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		p := testkit.NewProxy(t, b.addr(t))
		r := b.fresh(t, p.Addr())
		r.initialise(t)
		for _, fault := range []struct {
			name string
			set  func()
			wait time.Duration
		}{{"hangs", p.Hang, 1500 * time.Millisecond}, {"refuses", p.Refuse, 1500 * time.Millisecond}, {"once", func() {}, 0}} {
			fault.set()
			began := scene.Now()
			why := r.Run(t, fault.name, scene.Flags("--lock-wait", fault.wait.String())).Expect(t, 10*time.Second, 69)
			says(t, why, p.Addr())
			atLeast(t, fault.name, scene.Now()-began, min(fault.wait, time.Second))
			atMost(t, fault.name, scene.Now()-began, fault.wait+3*time.Second)
		}
		patient := r.Run(t, "patient")
		patient.WaitPhase(t, 5*time.Second, "locking")
		select {
		case <-patient.Exited():
			t.Fatalf("forever ended: %s", patient.ReasonText())
		case <-time.After(2500 * time.Millisecond): // longer than the n tries
		}
		p.Pass(t)
		r.serves(t, patient, 15*time.Second)
	})
}

// What is inside a holder of the same lock would wait for itself for ever: refused. Looking is no queueing.
func TestInnerRun(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		bin, out := testkit.Binary(t), r.Dir+"/out"
		script := `exec >"$1" 2>&1
			"$0" run --lock "$2" -- /bin/true; echo "inner run $?"
			"$0" lock show --lock "$2"; echo "lock show $?"
			"$0" status --listen "unix:$3"; echo "status $?"; trap 'exit 0' TERM; echo ready; while :; do read x <>"$4"; done`
		fifo := r.Dir + "/fifo"
		must(t, syscall.Mkfifo(fifo, 0o600))
		a := r.Run(t, "outer", scene.Command("/bin/sh", "-c", script, bin, out, r.Lock, r.Dir+"/outer.sock", fifo))
		var text string
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			text = readFile(t, out)
			return contains(text, "\nready\n"), "inner: " + text
		})
		says(t, text, "inner run 64", "lock show 0", "status 0")
		a.Signal(t, syscall.SIGTERM)
		a.Wait(t, 20*time.Second)
	})
}
