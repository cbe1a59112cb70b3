package storage

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// timeAfterProbes is the time of a few probes of 50 ms.
func timeAfterProbes() <-chan time.Time { return time.After(500 * time.Millisecond) }

// remount makes a filesystem read-only as soon as nobody has a file open for writing there.
func remount(t testing.TB, point string, ro bool) {
	t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if ro {
		flags |= unix.MS_RDONLY
	}
	testkit.Wait(t, 5*time.Second, func() (bool, string) {
		err := unix.Mount("", point, "", flags, "")
		return err == nil, "remount: " + errText(err)
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func detach(t testing.TB, point string) {
	t.Helper()
	if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// What ends a mount while the payload runs ends the payload, and the record does not claim a drain of what is not
// there any more. One that turned read-only is still there.
func TestMountLostWhileRunning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		lose  func(t testing.TB, point string)
		phase string
	}{
		{"umount -l", detach, "dead"},
		{"another over it", func(t testing.TB, point string) { mountOn(t, point) }, "dead"},
		{"another instead", func(t testing.TB, point string) { detach(t, point); mountOn(t, point) }, "dead"},
		{"remount ro", func(t testing.TB, point string) { remount(t, point, true) }, "drained"},
		{"parent unmounted", func(t testing.TB, point string) { mountOn(t, filepath.Dir(point)) }, "dead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := mounted(t)
			above := filepath.Join(s.Dir, "above")
			tmpfs(t, above)
			point := filepath.Join(above, "mnt")
			tmpfs(t, point)
			s.Data = mkdir(t, point, "db")
			a := s.Run(t, "a", s.Payload(t, "-ignore-term"), scene.Flags("--mount", point))
			alive(t, s, a)
			c.lose(t, point)
			at := scene.Now()
			wantReason(t, a.Expect(t, limit, 74), point)
			diedAtOnce(t, s, at)
			wantRecord(t, s, c.phase)
		})
	}
}

// With grace the payload is told first, and may end by itself: the code is still the mount's.
func TestMountLostGivesGrace(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	s.Timing = []string{"--hold", "12s", "--heartbeat", "300ms", "--try-timeout", "400ms", "--grace", "4s", "--kill-budget", "2s"} // a grace that a busy machine leaves it
	a := s.Run(t, "a", s.Payload(t, "-slow-stop", "100ms"), scene.Flags("--mount", point))
	alive(t, s, a)
	detach(t, point)
	a.Expect(t, limit, 74)
	if s.Count(t, "signal-15") != 1 || s.Count(t, "end") != 1 {
		t.Error("the payload was not told, or not given the time to end")
	}
}

// The mount that holds --data is watched without being named.
func TestMountOfDataIsWatchedUnnamed(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	a := s.Run(t, "a", s.Payload(t, "-ignore-term"))
	st := alive(t, s, a)
	if len(st.Mounts) == 0 || st.Mounts[0].Path != point || st.Mounts[0].Finding != "ok" {
		t.Errorf("mounts %+v: expected %s among them", st.Mounts, point)
	}
	detach(t, point)
	at := scene.Now()
	wantReason(t, a.Expect(t, limit, 74), point)
	diedAtOnce(t, s, at)
	wantRecord(t, s, "dead")
}

// An ordinary stop on a mount that is right is a drained one.
func TestOrdinaryStopIsDrained(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	a := s.Run(t, "a", scene.Flags("--mount", point))
	alive(t, s, a)
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, a.ReasonText())
	}
	wantRecord(t, s, "drained")
}

// A mount that goes while we wait for the lock ends the wait, with the code of a start.
func TestMountLostInTheQueue(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	holder := *s
	holder.Data = mkdir(t, s.Dir, "elsewhere")
	a := holder.Run(t, "a")
	alive(t, s, a)
	b := s.Run(t, "b", scene.Flags("--mount", point))
	b.WaitPhase(t, limit, "locking")
	detach(t, point)
	wantReason(t, b.Expect(t, limit, 72), point)
	a.Stop(t)
}

// A mount that goes during the stop is a loss too: the lock does not call the data drained.
func TestMountLostWhileStopping(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	a := s.Run(t, "a", s.Payload(t, "-slow-stop", "10s"), scene.Flags("--mount", point))
	alive(t, s, a)
	a.Signal(t, syscall.SIGTERM)
	a.WaitPhase(t, limit, "stopping")
	detach(t, point)
	at := scene.Now()
	a.Expect(t, limit, 74)
	diedAtOnce(t, s, at)
	wantRecord(t, s, "dead")
}

// A guard that is PID 1 and stopped cannot be killed by its agent, and follows its orders when it is
// continued: the lock is given back only when no lease that it was sent lets it start anything (E4).
func TestTakeOverFromPID1OutlastsItsLease(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	s.Timing = append([]string{"--hold", "10s"}, s.Timing[2:]...)
	a := s.Run(t, "a", s.Payload(t, "-ignore-term"), scene.Wrapped(testkit.BoundedPID1),
		scene.Flags("--mount", point, "--probe-period", "100ms"))
	alive(t, s, a)
	guard := testkit.InnerPid(t, a.Process)
	if err := syscall.Kill(guard, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := scene.Now()
	remount(t, point, true)
	testkit.Wait(t, limit, func() (bool, string) {
		v := show(t, s)
		return v.Record != nil && v.Record.Phase == "dead", fmt.Sprintf("record %+v", v.Record)
	})
	if after := scene.Now() - stopped; after < 7*time.Second {
		t.Errorf("released %v after the guard was stopped: its last lease lets it start something for 9 s", after)
	}
	if late := s.Last(t, 1) - stopped; late > 4*time.Second+testkit.Busy(t) {
		t.Errorf("the payload lived %v on", late)
	}
	if err := syscall.Kill(guard, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
