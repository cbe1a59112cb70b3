package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func command(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// ext4 mounts a fresh one of so many megabytes, from an image at this path, on a loop device.
func ext4(t testing.TB, image, point string, size int) {
	t.Helper()
	needMounts(t)
	for _, tool := range []string{"mkfs.ext4", "fsfreeze", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, tool+" is not installed")
		}
	}
	command(t, "truncate", "-s", fmt.Sprint(size<<20), image)
	command(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-O", "^has_journal", "-E", "lazy_itable_init=0", image)
	mkdir(t, point)
	if out, err := exec.Command("mount", "-o", "loop", image, point).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop", fmt.Sprintf("no loop device here: %v: %s", err, out))
	}
	t.Cleanup(func() { // the payloads of tests beside this one hold a copy of every mount that was there when they began
		testkit.Wait(t, time.Minute, func() (bool, string) {
			err := unix.Unmount(point, 0)
			return err == nil, fmt.Sprintf("umount %s: %v", point, err)
		})
	})
}

// freeze stops every write to a filesystem until thaw, which the test's end calls too: whoever waits for
// it cannot be killed.
func freeze(t testing.TB, point string) (thaw func()) {
	t.Helper()
	frozen := true
	thaw = func() {
		if frozen {
			frozen = false
			command(t, "fsfreeze", "--unfreeze", point)
		}
	}
	command(t, "fsfreeze", "--freeze", point)
	t.Cleanup(thaw)
	return thaw
}

// writer is a payload that writes to the data without ever asking for a sync.
func writer(s *scene.Scene) scene.Option {
	return scene.Command("/bin/sh", "-c", fmt.Sprintf(`echo "%[1]s begun" > %[2]s/begun; while :; do echo more >> %[3]s/file; sleep 0.02; done`, s.Lock, s.Dir, s.Data))
}

// keepsLock fails unless the lock is held by a, with a lease, for as long as several heartbeats.
func keepsLock(t *testing.T, s *scene.Scene, a *scene.Job) {
	t.Helper()
	a.Keeps(t, scene.Hold+time.Second)
	if v := show(t, s); !v.Held || v.Queue[0].Holder != a.Holder || v.Record.Phase != "running" {
		t.Errorf("lock show: %+v, record %+v: expected it held by %s, running", v, v.Record, a.Holder)
	}
}

// The sync of the data hangs: the filesystem's own image lies on one that is frozen. The lock is kept and
// renewed far beyond the budget and the hold, which is said, until the sync has returned. What the post_stop
// hook left behind, and could write after the sync, is dead before it.
func TestHungDrainKeepsTheLock(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	below, point := filepath.Join(s.Dir, "below"), filepath.Join(s.Dir, "mnt")
	ext4(t, filepath.Join(s.Dir, "image"), below, 48)
	ext4(t, filepath.Join(below, "image"), point, 16)
	s.Data = mkdir(t, point, "db")
	a := s.Run(t, "a", writer(s), scene.Flags("--mount", point, "--budgets-drain", "500ms", "--probe-period", "10m"),
		shell(t, "hooks-post-stop-exec", fmt.Sprintf("setsid %s -ignore-term -log %s/daemon &", scene.PayloadBinary(t), s.Dir)))
	a.Serving(t)
	waitFile(t, filepath.Join(s.Dir, "begun"))
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && len(st.Mounts) > 0 && st.Mounts[0].Finding == "ok", "the first write probe has not ended"
	})
	b := s.Run(t, "b")
	b.WaitPhase(t, limit, "locking")
	thaw := freeze(t, below)
	size := len(read(t, filepath.Join(s.Data, "file")))
	testkit.Wait(t, limit, func() (bool, string) {
		return len(read(t, filepath.Join(s.Data, "file"))) > size+50, "nothing dirty was written above the frozen filesystem"
	})
	a.Signal(t, syscall.SIGTERM)
	a.WaitPhase(t, limit, "draining")
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && st.Drain != "", "the status does not say that the drain is overdue"
	})
	daemon := &scene.Scene{Trace: filepath.Join(s.Dir, "daemon")}
	left := len(daemon.Lines(t))
	keepsLock(t, s, a)
	if n := len(daemon.Lines(t)); n > left {
		t.Errorf("a daemon of the post_stop hook lives beside the sync: %d lines, then %d", left, n)
	}
	if st, err := b.Status(); err != nil || st.Phase != "locking" {
		t.Errorf("b: %+v, %v: expected it to wait", st, err)
	}
	nothingBegan(t, s)
	b.Signal(t, syscall.SIGTERM)
	b.Expect(t, limit, 143)
	thaw()
	a.Expect(t, limit, 143)
	wantRecord(t, s, "drained")
}

// A payload in uninterruptible sleep cannot be killed: the lock is kept until it is dead, which the status
// says with its number.
func TestPayloadThatCannotDieKeepsTheLock(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	point := filepath.Join(s.Dir, "mnt")
	ext4(t, filepath.Join(s.Dir, "image"), point, 16)
	s.Data = mkdir(t, point, "db")
	a := s.Run(t, "a", writer(s), scene.Flags("--mount", point, "--stop-grace", "300ms", "--probe-period", "10m"))
	a.Serving(t)
	waitFile(t, filepath.Join(s.Data, "file"))
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && len(st.Mounts) > 0 && st.Mounts[0].Finding == "ok", "the first write probe has not ended"
	})
	b := s.Run(t, "b")
	b.WaitPhase(t, limit, "locking")
	payload := a.Serving(t).Payload.PID
	thaw := freeze(t, point)
	testkit.Wait(t, limit, func() (bool, string) { // else TERM ends it between two writes
		stat := read(t, fmt.Sprintf("/proc/%d/stat", payload))
		_, rest, _ := strings.Cut(stat, ") ")
		return strings.HasPrefix(rest, "D "), "the payload is not in uninterruptible sleep: " + stat
	})
	a.Signal(t, syscall.SIGTERM)
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && len(st.Stuck) > 0, fmt.Sprintf("nothing is stuck: %+v, %v", st, err)
	})
	keepsLock(t, s, a)
	nothingBegan(t, s)
	thaw()
	a.Expect(t, limit, 137)
	b.Serving(t)
	b.Stop(t)
}

// The mount goes at the moment in which the payload ends: what would be synced then is the bare directory,
// whether or not the watch has told of it yet.
func TestMountGoneAtThePayloadsEndIsNotDrained(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		s, point := mounted(t)
		fifo := filepath.Join(s.Dir, "fifo")
		if err := unix.Mkfifo(fifo, 0o666); err != nil {
			t.Fatal(err)
		}
		a := s.Run(t, fmt.Sprint("a", i), scene.Command("/bin/sh", "-c", "read x < "+fifo+"; exit 7"), scene.Flags("--mount", point))
		a.Serving(t)
		end, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		detach(t, point)
		if err := end.Close(); err != nil {
			t.Fatal(err)
		}
		if code := a.Wait(t, limit); code != 7 && code != 74 {
			t.Errorf("exit code %d: %s", code, a.ReasonText())
		}
		wantRecord(t, s, "dead")
	}
}
