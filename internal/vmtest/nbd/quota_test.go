//go:build vm

package nbd

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/mountcheck"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A project quota on the data directory leaves less than the filesystem has; root may write beyond it, so that
// statfs of that directory is what tells.
func TestProjectQuota(t *testing.T) {
	e := newExport(t)
	dir := e.attach("-timeout", "30")
	testkit.Unmount(t, dir)
	vmtest.Run(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-O", "quota,project", "-E", "quotatype=prjquota,nodiscard", node)
	must(t, unix.Mount(node, dir, "ext4", 0, "prjquota"))
	data := filepath.Join(dir, "db")
	must(t, os.Mkdir(data, 0o755))
	limitProject(t, data, 42, 4<<20)
	want := func(data string, min uint64, want mountcheck.Kind) {
		t.Helper()
		x := mountcheck.Expect{Path: dir, FSType: "ext4", Bounds: mountcheck.Bounds{MinFree: min}}
		all := mountcheck.Look(t.Context(), mountcheck.Config{Expect: []mountcheck.Expect{x}, Data: data})
		if len(all) != 1 || all[0].Kind != want {
			t.Errorf("data %q, at least %d: got %+v, expected %s", data, min, all, want)
		}
	}
	want("", 8<<20, mountcheck.OK)
	want(data, 2<<20, mountcheck.OK)
	want(data, 8<<20, mountcheck.Full)
	must(t, os.WriteFile(filepath.Join(data, "fill"), make([]byte, 5<<20), 0o600))
	unix.Sync()
	want("", 8<<20, mountcheck.OK)
	want(data, 0, mountcheck.Full)
}

// limitProject makes a directory the root of a project and limits its bytes.
func limitProject(t *testing.T, dir string, project uint32, bytes uint64) {
	t.Helper()
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	const set, inherit, projects, limits = 0x401c5820, 0x200, 2, 5 // FS_IOC_FSSETXATTR, FS_XFLAG_PROJINHERIT, PRJQUOTA, QIF_LIMITS
	attr := struct {
		flags, extent, extents, project, cow uint32
		pad                                  [8]byte
	}{flags: inherit, project: project}
	call(t, unix.SYS_IOCTL, d.Fd(), set, uintptr(unsafe.Pointer(&attr)), 0)
	quota := struct {
		hard, soft, space, inodesHard, inodesSoft, inodes, blockTime, inodeTime uint64
		valid                                                                   uint32
	}{hard: bytes >> 10, valid: limits}
	device, err := unix.BytePtrFromString(node)
	must(t, err)
	const setQuota = 0x800008
	call(t, unix.SYS_QUOTACTL, setQuota<<8|projects, uintptr(unsafe.Pointer(device)), uintptr(project), uintptr(unsafe.Pointer(&quota)))
}

func call(t *testing.T, number, a, b, c, d uintptr) {
	t.Helper()
	if _, _, e := unix.Syscall6(number, a, b, c, d, 0, 0); e != 0 {
		t.Fatal(e)
	}
}
