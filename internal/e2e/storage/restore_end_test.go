package storage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestFailingRestoreIsRepeated(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	bad := newScript(s, "echo half > "+s.Data+"/part; exit 3")
	a := s.Run(t, "a", bad.flag(t))
	a.Expect(t, limit, 73)
	nothingBegan(t, s)
	wantRecord(t, s, "drained")
	s.Run(t, "b", bad.flag(t)).Expect(t, limit, 73)
	good := newScript(s, fill(s))
	wantAction(t, once(t, s, "c", good.flag(t)), "resume")
	good.wantRuns(t, "token 1 found claim yes", "token 2 found claim yes", "token 3 found claim yes")
}

func TestRestoreScriptThatDoesNotExist(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a", scene.Flags("--restore-exec", `["/no/such/script"]`))
	wantReason(t, a.Expect(t, limit, 73), "/no/such/script")
	nothingBegan(t, s)
}

// A script that left a daemon behind, or does not end: everything of it is dead before the lock is free.
func TestRestoreTimeout(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	sc := newScript(s, `setsid sleep 1000 & `+stall(s))
	a := s.Run(t, "a", sc.flag(t), scene.Flags("--restore-timeout", "4s"))
	waitFile(t, sc.mid)
	tree := testkit.Snapshot(t, a.Pid())
	a.Expect(t, limit, 73)
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the run", left)
	}
	nothingBegan(t, s)
	wantAction(t, once(t, s, "b", newScript(s, fill(s)).flag(t)), "resume")
}

func TestTermDuringTheRestore(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	sc := newScript(s, "trap '' TERM; "+stall(s))
	a := s.Run(t, "a", sc.flag(t), shell(t, "hooks-pre-start-exec", "touch "+s.Dir+"/hooked"))
	waitFile(t, sc.mid)
	if st, err := a.Status(); err != nil || st.Phase != "restoring" || !st.Lock.Held {
		t.Errorf("%+v, %v: expected to be restoring, the lock held", st, err)
	}
	tree := testkit.Snapshot(t, a.Pid())
	a.Signal(t, syscall.SIGTERM)
	at := scene.Now()
	a.Expect(t, limit, 143)
	if took := scene.Now() - at; took > 3*time.Second+testkit.Busy(t) {
		t.Errorf("it took %v to end", took)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the run", left)
	}
	nothingBegan(t, s)
	if exists(t, filepath.Join(s.Dir, "hooked")) {
		t.Error("the hook ran after the stop")
	}
	wantAction(t, once(t, s, "b", newScript(s, fill(s)).flag(t)), "resume")
}

// The lock is lost while the script runs: the script dies, nothing starts, and the restore is unfinished.
func TestLeaseLostDuringTheRestore(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	sc := newScript(s, "trap '' TERM; "+stall(s))
	a := s.Run(t, "a", sc.flag(t))
	waitFile(t, sc.mid)
	tree := testkit.Snapshot(t, a.Pid())
	at := scene.Now()
	if err := os.Remove(filepath.Join(s.Dir, "lock")); err != nil {
		t.Fatal(err)
	}
	a.Expect(t, limit, 76)
	if took := scene.Now() - at; took > 3*time.Second+testkit.Busy(t) {
		t.Errorf("it took %v to end", took)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the run", left)
	}
	nothingBegan(t, s)
}

// The same for a mount: 72, because nothing was served yet.
func TestMountLostDuringTheRestore(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	s.State = filepath.Join(point, ".interlock")
	sc := newScript(s, "trap '' TERM; "+stall(s))
	a := s.Run(t, "a", sc.flag(t), scene.Flags("--mount", point))
	waitFile(t, sc.mid)
	tree := testkit.Snapshot(t, a.Pid())
	detach(t, point)
	wantReason(t, a.Expect(t, limit, 72), point)
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the run", left)
	}
	nothingBegan(t, s)
	wantRecord(t, s, "dead")
}

// A state file that is not understood is unknown, never absent.
func TestCorruptRestoreState(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	mkdir(t, s.State)
	write(t, filepath.Join(s.State, "restore.json"), "{half")
	sc := newScript(s, fill(s))
	wantReason(t, s.Run(t, "a", sc.flag(t)).Expect(t, limit, 73), "restore.json")
	sc.wantRuns(t)
	nothingBegan(t, s)
}
