package rescue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

func TestMain(m *testing.M) {
	if os.Args[0] == Name {
		if strings.Contains(os.Args[1], stop) {
			_ = unix.Kill(os.Getpid(), unix.SIGSTOP) // a call that does not return looks the same from outside
		}
		os.Exit(Main())
	}
	late.Play()
	testkit.MainWithMounts(m)
}

// stop is a lever of these tests, at which the process stands still.
const stop = "stop"

const limit = 20 * time.Second

// stuck gives a payload that SIGKILL does not end.
func stuck(t *testing.T, f *testkit.FaultFS) *late.Payload {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(f.Back, "file"), nil, 0o644))
	p := late.Start(t, "push", filepath.Join(f.Dir, "file"))
	t.Cleanup(f.Free) // before the payload is waited for
	f.Set(t, "hang write")
	p.Act()
	f.Holds(t)
	if p.Kill(200 * time.Millisecond) {
		t.Fatal("the payload could be killed, so the test has lost its sense")
	}
	return p
}

func capture(t *testing.T, path string) *Plan {
	t.Helper()
	p, err := Capture([]string{path})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func TestAbort(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	if len(plan.Levers) != 1 || plan.Levers[0].Kind != Abort {
		t.Fatalf("levers: %+v", plan.Levers)
	}
	p := stuck(t, f)
	start := time.Now()
	must(t, plan.Pull(plan.Levers[0], limit))
	p.Wait(t, limit)
	t.Logf("free after %v", time.Since(start).Round(time.Millisecond))
}

// Also once the mount is out of sight, where nobody can find the number any more.
func TestAbortAfterDetach(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	p := stuck(t, f)
	must(t, unix.Unmount(f.Dir, unix.MNT_DETACH))
	must(t, plan.Pull(plan.Levers[0], limit))
	p.Wait(t, limit)
}

// What took the number or the place since is left alone.
func TestOnlyWhatWasCaptured(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	other := plan.Levers[0]
	other.FUSE.Inode++
	if err := plan.Pull(other, limit); err == nil {
		t.Error("a connection with the same number was broken")
	}
	force := Lever{Kind: Force, Mount: plan.Levers[0].Mount}
	force.Mount.ID++
	if err := plan.Pull(force, limit); err == nil {
		t.Error("a mount in the same place was broken")
	}
	f.Set(t, "ok") // it still answers
	must(t, os.WriteFile(filepath.Join(f.Dir, "file"), []byte("x"), 0o644))
	f.Free()
	f.Wait(t, limit)
	if err := plan.list.Abort(plan.Levers[0].FUSE); !errors.Is(err, fusectl.ErrGone) {
		t.Errorf("a connection that has gone: %v", err)
	}
}

// MNT_FORCE does the same where the list of connections is out of reach.
func TestForce(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	p := stuck(t, f)
	must(t, plan.Pull(Lever{Kind: Force, Mount: plan.Levers[0].Mount}, limit))
	p.Wait(t, limit)
}

// What was broken is taken out of the way, and nothing else.
func TestDetach(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	out := Lever{Kind: Detach, Mount: plan.Levers[0].Mount}
	other := out
	other.Mount.ID++
	if err := plan.Pull(other, limit); err == nil {
		t.Error("a mount in the same place was detached")
	}
	p := stuck(t, f)
	must(t, plan.Pull(plan.Levers[0], limit))
	p.Wait(t, limit)
	must(t, plan.Pull(out, limit))
	if testkit.MountsBelow(filepath.Dir(f.Dir)) != nil {
		t.Error("it is still mounted")
	}
}

// Without the capabilities there is nothing to hope for, and that can be known before.
func TestPrivileges(t *testing.T) {
	if unix.Geteuid() != 0 {
		if Privileged() == nil || MayReset() == nil || Reset() == nil {
			t.Error("everybody may do everything")
		}
		return
	}
	t.Logf("levers: %v, reset: %v", Privileged(), MayReset())
}

// A lever that hangs costs its limit and no more.
func TestHangs(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	plan := capture(t, f.Dir)
	stopped := Lever{Kind: stop, Mount: plan.Levers[0].Mount}
	start := time.Now()
	if err := plan.Pull(stopped, 300*time.Millisecond); !errors.Is(err, ErrHangs) {
		t.Errorf("got %v, want %v", err, ErrHangs)
	}
	if took := time.Since(start); took > limit/2 {
		t.Errorf("it took %v", took)
	}
}

func TestNothingToPull(t *testing.T) {
	if p := capture(t, "/proc"); len(p.Levers) != 0 {
		t.Errorf("levers: %+v", p.Levers)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
