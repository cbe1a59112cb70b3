package mounts

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A diskFault is one of a filesystem on this machine.
type diskFault struct {
	begin, heal func(*disk)
	row
}

// play puts runs on disks of a kind through faults, each on its own.
func playDisks(t *testing.T, fs string, make func(*testing.T) *disk, faults map[string]diskFault) {
	for name, c := range faults {
		if !c.wanted() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := make(t)
			x := d.of(fs)
			x.Break = func() { c.begin(d) }
			if c.heal != nil {
				x.Heal = func() { c.heal(d) }
			}
			c.play(t, x)
		})
	}
}

func TestFaultsOfTmpfs(t *testing.T) {
	t.Parallel()
	playDisks(t, "tmpfs", func(t *testing.T) *disk { return tmpfs(t, "size=4m,nr_inodes=100") }, map[string]diskFault{
		"full":          {(*disk).fill, (*disk).spare, row{"full", "full", false, true, ""}},
		"full-kill":     {(*disk).fill, (*disk).spare, row{"full, `policy=full:kill`", "full", false, false, ",policy=full:kill"}},
		"inodes":        {(*disk).crowd, (*disk).scatter, row{"no inode is free", "full", false, true, ""}},
		"unmounted":     {(*disk).unmount, nil, row{"unmounted lazily", "absent", true, false, ""}},
		"covered":       {(*disk).cover, nil, row{"another filesystem is mounted over it", "replaced", false, false, ""}},
		"covered-alert": {(*disk).cover, nil, row{"another filesystem is mounted over it, `policy=replaced:alert`", "replaced", false, false, ",policy=replaced:alert"}},
	})
}

func TestFaultsOfExt4(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) *disk {
		return newDisk(t, "ext4", 32, "", "-e", "remount-ro", "-N", "128", "-E", "lazy_itable_init=0")
	}
	playDisks(t, "ext4 on a loop device", fresh, map[string]diskFault{
		"full":      {(*disk).fill, (*disk).spare, row{"full but for root", "full", false, true, ""}},
		"inodes":    {(*disk).crowd, (*disk).scatter, row{"no inode is free", "full", false, true, ""}},
		"error":     {(*disk).fail, nil, row{"an error inside, `errors=remount-ro`", "readonly|erroring", true, false, ""}},
		"shutdown":  {(*disk).shutdown, nil, row{"shut down", "erroring|readonly", false, false, ""}},
		"frozen":    {(*disk).freeze, (*disk).thaw, row{"frozen (`fsfreeze`)", "hung", true, false, ""}},
		"starved":   {(*disk).starve, nil, row{"the device's own storage is full: its writes fail", "erroring|readonly", false, false, ""}},
		"lazy":      {func(d *disk) { command(d.t, "losetup", "--detach", d.loop()) }, nil, row{"`losetup -d` under the mount", "", false, true, ""}},
		"unmounted": {(*disk).unmount, nil, row{"unmounted lazily", "absent", false, false, ""}},
	})
}

// fail is an error that ext4 finds in itself.
func (d *disk) fail() {
	must(d.t, os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(d.loop()), "trigger_fs_error"), []byte("test"), 0))
}

func TestFaultsOfXFS(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) *disk { return newDisk(t, "xfs", 320, "") }
	playDisks(t, "xfs on a loop device", fresh, map[string]diskFault{
		"full":     {(*disk).fill, (*disk).spare, row{"full", "full", false, true, ""}},
		"shutdown": {(*disk).shutdown, nil, row{"shut down", "erroring", false, false, ""}},
		"frozen":   {(*disk).freeze, (*disk).thaw, row{"frozen (`fsfreeze`)", "hung", false, false, ""}},
		"starved":  {(*disk).starve, nil, row{"the device's own storage is full: its writes fail", "erroring", false, false, ""}},
	})
}

func TestFaultsOfBtrfs(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) *disk { return newDisk(t, "btrfs", 256, "") }
	playDisks(t, "btrfs on a loop device", fresh, map[string]diskFault{
		"full":      {(*disk).fill, (*disk).spare, row{"full", "full", false, true, ""}},
		"frozen":    {(*disk).freeze, (*disk).thaw, row{"frozen (`fsfreeze`)", "hung", false, false, ""}},
		"starved":   {(*disk).starve, nil, row{"the device's own storage is full: its writes fail", "readonly|erroring", false, false, ""}},
		"unmounted": {(*disk).unmount, nil, row{"unmounted lazily", "absent", false, false, ""}},
	})
}

// A snapshot of an xfs that is mounted cannot be mounted beside it: the run that expects it there is refused,
// and writes nothing into the directory.
func TestDuplicateXFS(t *testing.T) {
	t.Parallel()
	if !testkit.Long() {
		return
	}
	d := newDisk(t, "xfs", 320, "")
	s := scene.New(t)
	twin, point := filepath.Join(t.TempDir(), "twin"), filepath.Join(s.Dir, "mnt")
	must(t, os.Mkdir(point, 0o755))
	command(t, "fsfreeze", "--freeze", d.dir)
	command(t, "cp", "--sparse=always", d.image, twin)
	command(t, "fsfreeze", "--unfreeze", d.dir)
	loop := command(t, "losetup", "--find", "--show", twin)
	t.Cleanup(func() { command(t, "losetup", "--detach", loop) })
	if err := unix.Mount(loop, point, "xfs", 0, ""); err != unix.EINVAL {
		t.Fatalf("mounted twice: %v", err)
	}
	s.Data = filepath.Join(point, "data")
	s.Run(t, "a", scene.Flags("--mount", point+",fstype=xfs")).Expect(t, limit, 72)
	if left, err := os.ReadDir(point); err != nil || len(left) > 0 {
		t.Errorf("in the bare directory: %v, %v", left, err)
	}
}
