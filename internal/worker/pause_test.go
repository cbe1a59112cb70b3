package worker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

// meanwhile stops a worker at a point, lets something happen there, and gives the worker's answer.
func meanwhile(t *testing.T, point string, r Request, happens func() error) Response {
	t.Helper()
	cmd := command(t, binary(t, true), r)
	cmd.Env = append(os.Environ(), "BREAKPOINT="+point+"=stop")
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped(t, cmd.Process.Pid)
	err := errors.Join(happens(), cmd.Process.Signal(syscall.SIGCONT), cmd.Wait())
	if err != nil {
		t.Fatal(err)
	}
	a, err := DecodeResponse([]byte(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Another host put its claim over ours between our look and our rename, or right after it.
func TestClaimIsReadBack(t *testing.T) {
	r, other := scene(t), scene(t)
	other.Token, other.Holder = 2, "b"
	mustOK(t, ask(t, other.claiming()))
	a := meanwhile(t, "claim:renamed", r.claiming(), func() error {
		return os.Rename(filepath.Join(other.StateDir, "claim.json"), filepath.Join(r.StateDir, "claim.json"))
	})
	mustFail(t, a, KindDeposed, "right after")
}

// What comes in after the record but before the start was put there by somebody else.
func TestStrangerBeforeTheStartIsRefused(t *testing.T) {
	r := scene(t)
	r.Want = &restore.Decision{Action: restore.Run}
	stray := filepath.Join(r.Data, "stray")
	a := meanwhile(t, "restore:recorded", r.as(OpBegin), func() error { return os.WriteFile(stray, nil, 0o600) })
	mustFail(t, a, KindRefused, "stray")
	r.Token++
	if d := mustOK(t, ask(t, r.as(OpInspect))).Decision; d.Action != restore.Refuse {
		t.Errorf("%+v: expected refuse", d)
	}
	if _, err := os.Stat(stray); err != nil {
		t.Error(err)
	}
}

// A directory is moved while the cleaner is in it: its way up leads elsewhere, and nothing there is touched.
func TestCleanerThatWasMovedAwayStops(t *testing.T) {
	r := scene(t)
	r.Want = &restore.Decision{Action: restore.Run}
	mustOK(t, ask(t, r.as(OpBegin)))
	outside := filepath.Join(filepath.Dir(r.Data), "outside")
	deep := filepath.Join(r.Data, "a/b/c")
	if err := errors.Join(os.MkdirAll(deep, 0o755), os.WriteFile(filepath.Join(deep, "f"), nil, 0o600), os.MkdirAll(filepath.Join(outside, "c"), 0o755)); err != nil {
		t.Fatal(err)
	}
	r.Token++
	r.Want = &restore.Decision{Action: restore.Resume, Cleanup: true}
	a := meanwhile(t, "restore:cleanup:1", r.as(OpBegin), func() error { return os.Rename(deep, filepath.Join(outside, "moved")) })
	mustFail(t, a, KindRefused, "was moved")
	for _, kept := range []string{"moved", "c"} {
		if _, err := os.Stat(filepath.Join(outside, kept)); err != nil {
			t.Error(err)
		}
	}
	mustRepeat(t, r)
}

// Data that was written but not synced is on the disk after a commit, and after a drain.
func TestCommitAndDrainSync(t *testing.T) {
	for _, op := range []string{OpCommit, OpDrain} {
		t.Run(op, func(t *testing.T) {
			r := scene(t)
			r.Want = &restore.Decision{Action: restore.Run}
			mustOK(t, ask(t, r.as(OpBegin)))
			file := filepath.Join(r.Data, "data")
			if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			if !delayed(t, file) {
				testkit.Skip(t, "delayed-allocation", "the filesystem of the temporary folder does not show unwritten data (ext4, xfs and btrfs do)")
			}
			if op == OpDrain {
				r.Paths = []string{r.Data}
			}
			mustOK(t, ask(t, r.as(op)))
			if delayed(t, file) {
				t.Error("data is not on the disk")
			}
		})
	}
}

// delayed tells whether the last part of a file has no place on the disk yet (FIEMAP).
func delayed(t *testing.T, path string) bool {
	t.Helper()
	const request, isDelayed = 0xC020660B, 4 // FS_IOC_FIEMAP, FIEMAP_EXTENT_DELALLOC
	type extent struct {
		place [5]uint64
		flags uint32
		_     [3]uint32
	}
	var m struct {
		start, length                 uint64
		flags, mapped, count, padding uint32
		extents                       [64]extent
	}
	m.length, m.count = ^uint64(0), uint32(len(m.extents))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&m)))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if errno == unix.EOPNOTSUPP || errno == unix.ENOTTY {
		return false
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, e := range m.extents[:m.mapped] {
		if e.flags&isDelayed != 0 {
			return true
		}
	}
	return false
}
