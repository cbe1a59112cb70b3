package mountcheck

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

const aheadVariable = "__INTERLOCK_PROBE"

// ahead forks a helper as an init of the program does, and gives its number.
func ahead(t *testing.T) int {
	t.Helper()
	runtime.LockOSThread() // the helper's parent-death signal is of this thread
	t.Cleanup(runtime.UnlockOSThread)
	probe.StartAhead()
	now := children(t)
	if len(now) != 1 {
		t.Fatalf("forked ahead: %v, expected one", now)
	}
	t.Cleanup(DropAhead)
	return now[0]
}

func watchData(t *testing.T, dir string) *Watcher {
	t.Helper()
	w, err := Watch(t.Context(), Config{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func right(t *testing.T, w *Watcher) {
	t.Helper()
	if f, refused := Refusal(w.Look(t.Context())); refused {
		t.Errorf("%v", f)
	}
}

// The helper that was forked ahead is the first one that is used, and the only one.
func TestAheadIsTaken(t *testing.T) {
	pid := ahead(t)
	right(t, watchData(t, t.TempDir()))
	if now := children(t); len(now) != 1 || now[0] != pid {
		t.Errorf("helpers %v: expected only the one from before, %d", now, pid)
	}
	if v, set := os.LookupEnv(aheadVariable); set {
		t.Errorf("the variable is still there: %q", v)
	}
}

// One that died before it was needed costs nothing but itself.
func TestAheadDied(t *testing.T) {
	pid := ahead(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	right(t, watchData(t, t.TempDir()))
	if now := children(t); len(now) != 1 || now[0] == pid {
		t.Errorf("helpers %v: expected another than %d", now, pid)
	}
}

// Without a mount to look at there is no use for it.
func TestAheadIsDropped(t *testing.T) {
	ahead(t)
	w, err := Watch(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if now := children(t); len(now) != 0 {
		t.Errorf("helpers %v: expected none", now)
	}
}

// Whoever sets the variable gets no process of ours, nor of others, touched.
func TestAheadIsNotBelieved(t *testing.T) {
	other := sleeper(t)
	for _, value := range []string{
		"1:1:3:4", fmt.Sprintf("%d:1:3:4", os.Getpid()), fmt.Sprintf("%d:%d:3:4", os.Getpid(), os.Getppid()),
		fmt.Sprintf("%d:%d:0:4", os.Getpid(), other), fmt.Sprintf("%d:%d:3:0", os.Getpid(), other), fmt.Sprintf("%d:%d:3:4", os.Getpid()+1, other), "x", ":::", fmt.Sprintf("%d:%d", os.Getpid(), other),
	} {
		t.Setenv(aheadVariable, value)
		if h, ok := probe.TakeAhead(); ok {
			t.Errorf("%q gave process %d", value, h.Proc.Pid)
		}
		if _, set := os.LookupEnv(aheadVariable); set {
			t.Errorf("%q is still there", value)
		}
	}
}

// sleeper is a child that is no helper.
func sleeper(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	})
	return p.Pid
}

// A single look uses it too, and ends it.
func TestAheadInALook(t *testing.T) {
	ahead(t)
	began := time.Now()
	if f, refused := Refusal(Look(t.Context(), Config{Data: t.TempDir()})); refused {
		t.Errorf("%v", f)
	}
	if now := children(t); len(now) != 0 {
		t.Errorf("helpers %v after %v: expected none", now, time.Since(began))
	}
}
