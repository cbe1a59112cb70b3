package ending

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A payload that SIGKILL does not end keeps the lock, and nobody breaks anything, until its storage answers. A FUSE
// mount that the host keeps is then never drained, so the successor is told.
func TestStuckPayloadIsWaitedFor(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.writer())
	b := s.rival(t)
	s.hang(t)
	stop(t, a)
	until(t, a, "it is called stuck", func(v view) bool { return len(v.Stuck) > 0 })
	keeps(t, a, b)
	if v := look(t, a); len(v.Pulled) > 0 {
		t.Errorf("pulled %q", v.Pulled)
	}
	s.fs.Set(t, "ok")
	a.Expect(t, limit, 137)
	b.Serving(t)
	if log := b.Stderr(t); !strings.Contains(log, "late writes of an earlier holder are possible") || !strings.Contains(log, s.fs.Dir) {
		t.Errorf("the successor was not told of the volume: %s", log)
	}
	b.Stop(t)
}

// on_stuck: free breaks the connection, which frees the payload, takes the mount out of the way, and waits until its
// daemon has ended: then all is drained.
func TestStuckPayloadIsFreed(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.writer(), "--on-stuck", "free")
	if v := look(t, a); len(v.Volumes) != 1 || v.Volumes[0].Outlook != "kept" || len(v.Volumes[0].Levers) != 1 || !strings.HasPrefix(v.Volumes[0].Levers[0], "abort") {
		t.Errorf("the status does not say what can be done: %+v", v.Volumes)
	}
	if _, out, _ := scene.Interlock(t, "status", "--listen", "unix:"+filepath.Join(s.Dir, "a.sock")); !strings.Contains(out, "to free it") || !strings.Contains(out, "kept") {
		t.Errorf("interlock status does not say it: %s", out)
	}
	s.hang(t)
	stop(t, a)
	s.daemonDies(t, a)
	a.Expect(t, limit, 137)
	s.wantRecord(t, "drained", false)
	if slices.Contains(testkit.MountsBelow(filepath.Dir(s.fs.Dir)), s.fs.Dir) {
		t.Error("the broken mount was left")
	}
	if log := a.Stderr(t); strings.Count(log, "freeing what is stuck") != 1 {
		t.Errorf("expected one lever: %s", log)
	}
}

// A sync that hangs keeps the lock, which is said, until its storage answers.
func TestHungSyncKeepsTheLock(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.Payload(t))
	b := s.rival(t)
	s.fs.Set(t, "hang statfs")
	stop(t, a)
	until(t, a, "it is called overdue", func(v view) bool {
		return v.Drain != "" && len(v.Volumes) == 1 && v.Volumes[0].State == "syncing"
	})
	keeps(t, a, b)
	b.Signal(t, syscall.SIGTERM)
	b.Expect(t, limit, 143)
	s.fs.Set(t, "ok")
	a.Expect(t, limit, 0)
	s.wantRecord(t, "dead", true)
}

// The same with on_stuck: free.
func TestHungSyncIsFreed(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.Payload(t), "--on-stuck", "free")
	s.fs.Set(t, "hang statfs")
	stop(t, a)
	s.daemonDies(t, a)
	a.Expect(t, limit, 0)
	s.wantRecord(t, "drained", false)
}

// daemonDies waits until the connection was broken, and until the run waits for nothing but the daemon: that has the
// request in its hands, and would carry it out. Then it dies.
func (s stage) daemonDies(t *testing.T, a *scene.Job) {
	t.Helper()
	until(t, a, "it waits for the daemon", func(v view) bool {
		return len(v.Pulled) == 1 && v.Lock.Held && len(v.Volumes) == 1 && strings.Contains(v.Volumes[0].Why, "daemon")
	})
	s.fs.Signal(t, syscall.SIGKILL)
}

// on_undrained: release lets the lock go after the budget, as dead. The daemon has not taken the sync, so what waits
// in it can be killed.
func TestUndrainedIsReleased(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.Payload(t), "--on-undrained", "release")
	s.fs.Pause(t)
	t.Cleanup(func() { s.fs.Signal(t, syscall.SIGCONT) })
	stop(t, a)
	a.Expect(t, limit, 0)
	s.wantRecord(t, "dead", true)
}

// A FUSE mount that the host made and keeps ends as dead after a good sync, at once, and the successor waits settle.
func TestKeptMountIsDead(t *testing.T) {
	s := onFaultFS(t)
	const settle = 3 * time.Second
	a := s.run(t, s.Payload(t), "--settle", settle.String())
	b := s.rival(t)
	stop(t, a)
	a.Expect(t, limit, 0)
	b.Serving(t)
	// Their own words of when: who waits for an exit here learns of it a moment later. They are cut to milliseconds.
	if waited := logged(t, b, `msg="the lease runs"`).Sub(logged(t, a, "msg=finishing")); waited < settle-time.Millisecond {
		t.Errorf("the successor waited %v, not %v", waited, settle)
	}
	if log := b.Stderr(t); !strings.Contains(log, "settle only") {
		t.Errorf("the successor does not say that it waits settle: %s", log)
	}
	b.Stop(t)
}

// The host unmounts it at the end, after the payload's death: its daemon ends, and then it is quiet; but the mount
// is lost, so the record does not call it drained.
func TestMountLostAtTheEnd(t *testing.T) {
	s := onFaultFS(t)
	a := s.run(t, s.Payload(t))
	if err := unix.Unmount(s.fs.Dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	a.Expect(t, limit, 74)
	s.wantRecord(t, "dead", true)
	if log := a.Stderr(t); !strings.Contains(log, "state=drained") {
		t.Errorf("the volume was not waited for: %s", log)
	}
}

// What ends on this machine is drained after a sync: ext4 in a file on a local disk.
func TestLocalIsDrained(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	s := scene.New(t)
	image, point := filepath.Join(s.Dir, "image"), filepath.Join(s.Dir, "mnt")
	for _, tool := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, tool+" is not installed")
		}
	}
	command(t, "truncate", "-s", "16M", image)
	command(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-O", "^has_journal", image)
	command(t, "mkdir", point)
	if out, err := exec.Command("mount", "-o", "loop", image, point).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop", fmt.Sprintf("no loop device here: %v: %s", err, out))
	}
	t.Cleanup(func() {
		testkit.Wait(t, limit, func() (bool, string) {
			err := unix.Unmount(point, 0)
			return err == nil, fmt.Sprintf("umount: %v", err)
		})
	})
	s.Data = filepath.Join(point, "db")
	command(t, "mkdir", s.Data)
	a := s.Run(t, "a", scene.Flags("--mount", point))
	a.Serving(t)
	if v := look(t, a); len(v.Volumes) != 1 || v.Volumes[0].Outlook != "drained" {
		t.Errorf("the status does not say that it can be drained: %+v", v.Volumes)
	}
	a.Stop(t)
	if phase, volumes := (stage{Scene: s}).record(t); phase != "drained" || len(volumes) > 0 {
		t.Errorf("the record says %s, %q", phase, volumes)
	}
}

// What is mounted below the data directory is asked, too, though nobody named it: data on a local disk with its log on
// a FUSE filesystem that the host keeps is not drained.
func TestMountBelowTheData(t *testing.T) {
	s := onFaultFS(t)
	s.Data = filepath.Dir(s.fs.Dir)
	a := s.Run(t, "a", scene.Flags("--budgets-drain", "500ms"))
	a.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
	if v := look(t, a); !slices.ContainsFunc(v.Volumes, func(v storage) bool { return v.Path == s.fs.Dir && v.Outlook == "kept" }) {
		t.Errorf("the status does not name the mount below: %+v", v.Volumes)
	}
	stop(t, a)
	a.Expect(t, limit, 0)
	s.wantRecord(t, "dead", true)
}

// A reset that this process may not make is refused before anything relies on it.
func TestResetIsRefusedWithoutPrivileges(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), scene.Flags("--on-stuck", "reboot"))
	if why := a.Expect(t, limit, 78); !strings.Contains(why, "CAP_SYS_BOOT") {
		t.Errorf("the reason is %q", why)
	}
}
