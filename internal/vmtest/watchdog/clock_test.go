//go:build vm

package watchdog

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// hold is long enough for an emulated processor on a loaded host.
const hold = 15 * time.Second

func timing() []string {
	return []string{"--hold", hold.String(), "--heartbeat", "1s", "--try-timeout", "1s", "--tries", "2", "--grace", "1s", "--kill-budget", "1s"}
}

// jump sets the wall clock, as `date -s` does. What it was is set again at the end, give or take a second.
func jump(t *testing.T, by time.Duration) {
	t.Helper()
	set := func(by time.Duration) {
		tv := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
		if err := unix.Settimeofday(&tv); err != nil {
			t.Fatal(err)
		}
	}
	set(by)
	t.Cleanup(func() { set(-by) })
}

// A run does not notice that the wall clock jumps.
func TestClockJumps(t *testing.T) {
	vmtest.Inside(t)
	s := scene.New(t)
	s.Timing = timing()
	j := s.Run(t, "a", s.Payload(t, "-tick", "100ms"))
	pid := j.WaitPhase(t, vmtest.Limit, "serving").Payload.PID
	for _, by := range []time.Duration{time.Hour, -2 * time.Hour, 400 * 24 * time.Hour} {
		jump(t, by)
		<-time.After(3 * time.Second) // several heartbeats: that nothing happens is what is waited for
		st, err := j.Status()
		if err != nil || st.Phase != "serving" || st.Payload.PID != pid || st.Lock.LeaseLeft <= 0 || st.Lock.LeaseLeft > hold.Seconds() {
			t.Errorf("after a jump by %v: %+v, %v", by, st, err)
		}
	}
	stopped(t, j)
}

func stopped(t *testing.T, j *scene.Job) {
	t.Helper()
	j.Signal(t, syscall.SIGTERM)
	j.Expect(t, vmtest.Limit, 0)
}

// first is the first moment of a payload of this token.
func first(t *testing.T, s *scene.Scene, token uint64) time.Duration {
	t.Helper()
	for _, l := range s.Lines(t) {
		if l.Token == token {
			return l.At
		}
	}
	t.Fatalf("no payload of token %d", token)
	return 0
}

// A lease that is not renewed any more ends in time, wherever the wall clock is: neither later, nor sooner.
func TestClockOfALease(t *testing.T) {
	vmtest.Inside(t)
	for name, by := range map[string]time.Duration{"forwards": time.Hour, "backwards": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			s.Timing = timing()
			j := s.Run(t, "a", s.Payload(t, "-tick", "100ms"))
			j.WaitPhase(t, vmtest.Limit, "serving")
			testkit.Wait(t, vmtest.Limit, func() (bool, string) { return s.Last(t, 1) > 0, "the payload has not begun" })
			agent := j.Agent(t)
			scene.Kill(t, agent, syscall.SIGSTOP)
			stop := scene.Now()
			jump(t, by)
			testkit.Wait(t, vmtest.Limit, func() (bool, string) {
				return scene.Now()-s.Last(t, 1) > 3*time.Second, "the payload lives without a heartbeat"
			})
			lived := s.Last(t, 1) - stop
			t.Logf("the payload lived %v without a heartbeat", lived)
			if lived > hold || lived < hold/2 {
				t.Errorf("a hold of %v let it live %v", hold, lived)
			}
			scene.Kill(t, agent, syscall.SIGCONT)
			j.Expect(t, vmtest.Limit, 76)
		})
	}
}

// A successor's hold-off is not shortened by a wall clock that jumps, nor made longer.
func TestClockOfAHoldOff(t *testing.T) {
	vmtest.Inside(t)
	server := testkit.Etcd(t, testkit.EtcdOptions{Heartbeat: 500 * time.Millisecond, Election: 5 * time.Second})
	for name, by := range map[string]time.Duration{"forwards": time.Hour, "backwards": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			s.Timing, s.Lock = timing(), "etcd://"+server.Addr()+"/clock-"+name
			a := s.Run(t, "a", s.Payload(t, "-tick", "100ms"))
			a.WaitPhase(t, vmtest.Limit, "serving")
			for _, pid := range a.WholeTree(t) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
			killed := scene.Now()
			b := s.Run(t, "b", s.Payload(t, "-tick", "100ms"))
			b.WaitPhase(t, vmtest.Limit, "holding-off")
			jump(t, by)
			b.WaitPhase(t, vmtest.Limit, "serving")
			var order []uint64
			testkit.Wait(t, vmtest.Limit, func() (bool, string) {
				order = s.Judge(t)
				return len(order) == 2, fmt.Sprint("tokens ", order)
			})
			after := first(t, s, order[1]) - killed
			t.Logf("taken over %v after the kill", after)
			if after < hold-3*time.Second || after > 3*hold {
				t.Errorf("a hold of %v, and taken over after %v", hold, after)
			}
			stopped(t, b)
		})
	}
}
