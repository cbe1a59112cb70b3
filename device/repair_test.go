package device

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// crashed leaves the image as a machine that lost its power does: a file synced, the journal not closed.
func crashed(t *testing.T, s Spec) {
	t.Helper()
	image := s.Attach[len(s.Attach)-1]
	up(t, s)
	f, err := os.Create(filepath.Join(s.Point, "synced"))
	must(t, err)
	_, err = f.WriteString("synced")
	must(t, err)
	must(t, f.Sync())
	run(t, "cp", "--sparse=always", s.Path, image+".crashed")
	must(t, f.Close())
	down(t, s)
	must(t, os.Rename(image+".crashed", image))
}

// A journal is replayed, and the filesystem that comes out is whole.
func TestReplay(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			s := loopSpec(t, fs)
			crashed(t, s)
			s.Check.Verify = true
			up(t, s)
			got, err := os.ReadFile(filepath.Join(s.Point, "synced"))
			if err != nil || string(got) != "synced" {
				t.Errorf("got %q, %v", got, err)
			}
			down(t, s)
		})
	}
}

// Small errors are repaired, larger ones are a person's.
func TestErrors(t *testing.T) {
	s := loopSpec(t, "ext4")
	image := s.Attach[len(s.Attach)-1]
	run(t, "debugfs", "-w", "-R", "set_super_value free_inodes_count 3", image)
	s.Check.Verify = true
	up(t, s)
	down(t, s)
	// The inode of the root directory is zeroed, and nobody knows.
	run(t, "debugfs", "-w", "-R", "clri <2>", image)
	refused(t, s, "cannot verify")
	isDown(t, s)
	run(t, "debugfs", "-w", "-R", "set_super_value state 0", image)
	refused(t, s, "need a person")
	isDown(t, s)
	must(t, os.Truncate(image, 0))
	must(t, os.Truncate(image, 1<<20))
	refused(t, s, "there is no filesystem on it")
	isDown(t, s)
}

// A device that somebody has claimed, mounted where we do not see it, is not repaired under him.
func TestClaimed(t *testing.T) {
	s := loopSpec(t, "ext4")
	w, err := begin(s)
	must(t, err)
	must(t, w.attach(context.Background()))
	must(t, w.close())
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	must(t, err)
	s.Limits.Detach = 300 * time.Millisecond
	refused(t, s, "cannot look for other users of "+s.Path+": somebody has claimed it")
	must(t, unix.Close(fd))
	fd, err = unix.Open(s.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	_, err = Down(context.Background(), s)
	if err == nil || !strings.Contains(err.Error(), "it is still attached") { // for its detachment was lazy
		t.Errorf("got %v", err)
	}
	must(t, unix.Close(fd)) // which ends the lazy detachment
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		mark, err := marked(s)
		return mark == "" && err == nil, mark
	})
	down(t, s)
}

// Without a repair a journal is replayed all the same before the filesystem is read as a whole: what stands in the
// journal alone would look like damage.
func TestVerifyWithoutRepair(t *testing.T) {
	s := loopSpec(t, "ext4")
	image := s.Attach[len(s.Attach)-1]
	up(t, s)
	for i := range 100 {
		must(t, os.MkdirAll(filepath.Join(s.Point, strconv.Itoa(i), "below"), 0o755))
	}
	must(t, atRoot(s.Point, unix.Fsync)) // into the journal
	f, err := os.OpenFile(s.Path, os.O_RDWR, 0)
	must(t, err)
	must(t, unix.SyncFileRange(int(f.Fd()), 0, 64<<10, 7)) // and a part of it into its place
	must(t, f.Close())
	run(t, "cp", "--sparse=always", image, image+".crashed")
	down(t, s)
	must(t, os.Rename(image+".crashed", image))
	s.Check = FSCheck{Never: true, Verify: true}
	up(t, s)
	down(t, s)
}
