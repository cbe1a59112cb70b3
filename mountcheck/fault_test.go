package mountcheck

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// children are the pids of this process's children: only probe helpers, in these tests.
func children(t testing.TB) (pids []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		raw, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue // the thread is gone
		}
		for _, s := range strings.Fields(string(raw)) {
			pid, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually polls a condition with a bounded ticker.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", deadline, what)
}

func TestEveryErrnoHasItsKind(t *testing.T) {
	for e, k := range map[unix.Errno]Kind{
		unix.ESTALE: Stale, unix.ENOTCONN: Disconnected, unix.EACCES: Denied, unix.EPERM: Denied, unix.EROFS: ReadOnly,
		unix.EIO: Erroring, unix.EUCLEAN: Erroring, unix.EDQUOT: Full, unix.ENOSPC: Full, unix.ETIMEDOUT: Erroring,
		unix.ENODEV: Erroring, unix.EHOSTDOWN: Disconnected,
	} {
		t.Run(unix.ErrnoName(e), func(t *testing.T) {
			f := newFaultyFS(t)
			w := watch(t, Config{Expect: []Expect{{Path: f.dir}}})
			want(t, w, f.dir, OK)
			f.set(int64(e))
			got := want(t, w, f.dir, k)
			if !strings.Contains(got.Detail, unix.ErrnoName(e)) || got.Do == "" {
				t.Errorf("got %+v", got)
			}
			f.set(modeOK)
			want(t, w, f.dir, OK)
		})
	}
	if k := kindOf(errnoERESTARTSYS); k != Disconnected {
		t.Errorf("512 is %s", k)
	}
	if text := errnoText(errnoERESTARTSYS); !strings.Contains(text, "512") {
		t.Errorf("512 reads %q", text)
	}
}

func TestADeadDaemonIsDisconnected(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}})
	want(t, w, f.dir, OK)
	f.die()
	want(t, w, f.dir, Disconnected)
}

// A request that the daemon has taken makes its caller unkillable: there is never a second one.
func TestOneHelperOnAHungMount(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}, Period: 5 * time.Millisecond, Timeout: time.Second})
	want(t, w, f.dir, OK)
	before := children(t)
	f.set(modeHang)
	got := want(t, w, f.dir, Hung)
	// A probe that was past statfs when the mount began to hang does so in its next stage.
	if stage, _, _ := strings.Cut(got.Detail, ":"); stage != "statfs" && stage != "sentinel" {
		t.Errorf("the stage is not named: %+v", got)
	}
	looks := w.plan.targets[0].looked()
	eventually(t, "200 probes of the hung mount", func() bool {
		if now := children(t); len(now) > 1 || len(now) == 1 && now[0] != before[0] {
			t.Fatalf("helpers %v, before %v", now, before)
		}
		return w.plan.targets[0].looked() > looks+200
	})
	f.set(modeOK)
	want(t, w, f.dir, OK)
	if now := children(t); len(now) != 1 || now[0] == before[0] {
		t.Errorf("helpers %v, before %v", now, before)
	}
}

func (t *target) looked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.looks
}

// A helper that can be killed is reaped and replaced each time: the count stays flat too.
func TestAKillableHungHelperIsReplaced(t *testing.T) {
	f := newSilentFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}, Period: 2 * time.Millisecond, Timeout: 10 * time.Millisecond})
	want(t, w, f.dir, Hung)
	seen := map[int]bool{}
	eventually(t, "20 hung helpers", func() bool {
		now := children(t)
		if len(now) > 1 {
			t.Fatalf("two helpers at once: %v", now)
		}
		for _, pid := range now {
			seen[pid] = true
		}
		return len(seen) > 20
	})
}

// A helper that never took the request says nothing of the mount: it is replaced, the mount stays right.
func TestAStoppedHelperIsReplaced(t *testing.T) {
	dir := tmpfs(t, "stopped")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}, Timeout: 200 * time.Millisecond, Period: time.Hour})
	want(t, w, dir, OK)
	pid, looks := children(t)[0], w.plan.targets[0].looked()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.plan.targets[0].kick <- struct{}{}
	eventually(t, "the next probe", func() bool { return w.plan.targets[0].looked() > looks })
	if now := children(t); len(now) != 1 || now[0] == pid {
		t.Errorf("helpers %v, before %d", now, pid)
	}
	quietFor(t, w, 50*time.Millisecond)
}

// A container that was paused has not seen its mounts hang: the time in which we stood still ourselves
// does not count.
func TestAStallOfOurOwnIsNoHang(t *testing.T) {
	dir := tmpfs(t, "paused")
	agent, out := startAgent(t, dir, "2s")
	helper := helperPid(t, out)
	for range 2 {
		for _, pid := range []int{helper, agent.Process.Pid} {
			if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			after(t, 60*time.Millisecond) // the agent now waits for the stopped helper
		}
		after(t, 2500*time.Millisecond)
		for _, pid := range []int{agent.Process.Pid, helper} {
			if err := unix.Kill(pid, unix.SIGCONT); err != nil {
				t.Fatal(err)
			}
			after(t, 60*time.Millisecond)
		}
	}
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if out.Scan() {
		t.Errorf("the agent said %q", out.Text())
	}
}

func after(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
}

// Some orchestrators signal every process of the tree.
func TestAHelperOutlivesSignalsToAllButNotItsDeath(t *testing.T) {
	dir := tmpfs(t, "signals")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	pid := children(t)[0]
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		if err := unix.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	looks := w.plan.targets[0].looked()
	eventually(t, "two more probes", func() bool { return w.plan.targets[0].looked() > looks+2 })
	if now := children(t); len(now) != 1 || now[0] != pid {
		t.Fatalf("helpers %v, before %d", now, pid)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new helper", func() bool { now := children(t); return len(now) == 1 && now[0] != pid })
	quietFor(t, w, 200*time.Millisecond)
}

func TestPatienceWithErrors(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir, FailAfter: 400 * time.Millisecond}}})
	want(t, w, f.dir, OK)
	began := time.Now()
	f.set(int64(unix.EIO))
	if got := want(t, w, f.dir, Unknown); got.Fatal() || !strings.Contains(got.Detail, "EIO") {
		t.Errorf("got %+v", got)
	}
	f.set(int64(unix.ENOTCONN))
	want(t, w, f.dir, Disconnected)
	if d := time.Since(began); d < 400*time.Millisecond {
		t.Errorf("counted after %s", d)
	}
	f.set(modeOK)
	want(t, w, f.dir, OK)
}

// The patience ends even while the helper is held by the kernel and no probe comes back.
func TestPatienceWithAHang(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir, FailAfter: 2 * time.Second}}, Period: time.Hour, Timeout: time.Second})
	want(t, w, f.dir, OK)
	f.set(modeHang)
	w.plan.targets[0].kick <- struct{}{}
	want(t, w, f.dir, Unknown)
	want(t, w, f.dir, Hung)
	f.set(modeOK)
}

func TestLookAtAHungMountEnds(t *testing.T) {
	f := newFaultyFS(t)
	f.set(modeHang)
	began := time.Now()
	got := one(t, Config{Expect: []Expect{{Path: f.dir}}, Timeout: 100 * time.Millisecond})
	if got.Kind != Hung || time.Since(began) > 5*time.Second {
		t.Fatalf("got %+v after %s", got, time.Since(began))
	}
	f.set(modeOK)
	eventually(t, "the helper's end", func() bool { return len(children(t)) == 0 })
}

func TestCloseNamesAHelperThatTheKernelHolds(t *testing.T) {
	f := newFaultyFS(t)
	w, err := Watch(t.Context(), quick(t, Config{Expect: []Expect{{Path: f.dir}}, Timeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	want(t, w, f.dir, OK)
	f.set(modeHang)
	want(t, w, f.dir, Hung)
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "left to the kernel") {
		t.Errorf("got %v", err)
	}
	if _, open := <-w.Findings(); open {
		t.Error("findings still open")
	}
	f.set(modeOK)
	eventually(t, "the helper's end", func() bool { return len(children(t)) == 0 })
}
