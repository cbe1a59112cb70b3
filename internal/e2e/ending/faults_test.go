package ending

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Whoever of the two is killed while the payload is stuck, or while a sync is: nobody else gets the lock before the
// storage has let it go, and what was not drained is told.
func TestHalfKilledWhileStuck(t *testing.T) {
	for name, who := range map[string]func(*scene.Job, testing.TB) int{"guard": (*scene.Job).Guard, "agent": (*scene.Job).Agent} {
		t.Run(name+" while the payload is stuck", func(t *testing.T) {
			s := onFaultFS(t)
			a := s.run(t, s.writer())
			b := s.rival(t)
			s.hang(t)
			stop(t, a)
			until(t, a, "it is called stuck", func(v view) bool { return len(v.Stuck) > 0 })
			s.half(t, a, b, who(a, t))
		})
		t.Run(name+" while a sync is", func(t *testing.T) {
			s := onFaultFS(t)
			a := s.run(t, s.Payload(t))
			b := s.rival(t)
			s.fs.Set(t, "hang statfs")
			stop(t, a)
			until(t, a, "it syncs", func(v view) bool { return len(v.Volumes) == 1 && v.Volumes[0].State == "syncing" })
			s.fs.Holds(t)
			s.half(t, a, b, who(a, t))
		})
	}
}

// half kills one of a's two processes.
func (s stage) half(t *testing.T, a, b *scene.Job, pid int) {
	t.Helper()
	tree := a.WholeTree(t)
	scene.Kill(t, pid, syscall.SIGKILL)
	began := time.Now()
	testkit.Wait(t, limit, func() (bool, string) {
		if st, err := b.Status(); err != nil || st.Phase != "locking" {
			t.Fatalf("b: %+v, %v: expected it to wait", st, err)
		}
		return time.Since(began) > hold+2*time.Second, "it waits"
	})
	s.fs.Set(t, "ok")
	b.Serving(t)
	for _, p := range tree {
		testkit.Wait(t, limit, func() (bool, string) { return !running(p), "a process of a is left" })
	}
	if phase, _ := s.record(t); phase != "running" {
		t.Errorf("b's record says %s", phase)
	}
	b.Stop(t)
}

// running: neither gone nor a zombie.
func running(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(raw), ") Z ") && unix.Kill(pid, 0) == nil
}

// The post_stop hook is stuck, not the payload: it is freed the same way, and told twice to stop does not hurry it.
func TestStuckHookIsFreed(t *testing.T) {
	for _, isolate := range []string{"auto", "none"} {
		t.Run(isolate, func(t *testing.T) {
			s := onFaultFS(t)
			a := s.run(t, s.Payload(t), "--on-stuck", "free", "--isolate", isolate, "--hooks-post-stop-timeout", "300ms", "--hooks-post-stop-exec", `["/bin/sh", "-c", "echo more > `+s.Data+`/hook"]`)
			s.fs.Set(t, "hang write")
			stop(t, a)
			until(t, a, "it is called stuck", func(v view) bool { return v.Phase == "draining" && len(v.Stuck) > 0 })
			stop(t, a)
			s.daemonDies(t, a)
			a.Expect(t, limit, 0)
			s.wantRecord(t, "drained", false)
			if log := a.Stderr(t); strings.Count(log, "freeing what is stuck") != 1 {
				t.Errorf("expected one lever: %s", log)
			}
		})
	}
}
