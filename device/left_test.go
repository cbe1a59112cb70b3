package device

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// What an earlier tenure left mounted is not gone on with, and not written either: what was synced is there, what
// was only in memory is lost, as after a loss of power.
func TestEarlierTenure(t *testing.T) {
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			s := loopSpec(t, fstype)
			if fstype == "ext4" {
				s.Options = "commit=300"
			}
			s.Tenure = Tenure{"file:/lock", "1"}
			up(t, s)
			must(t, os.WriteFile(filepath.Join(s.Point, "synced"), []byte("x"), 0o644))
			must(t, syncAt(s.Point))
			must(t, os.WriteFile(filepath.Join(s.Point, "dirty"), []byte("x"), 0o644))
			s.Tenure.Token = "2"
			up(t, s)
			_, synced := os.Stat(filepath.Join(s.Point, "synced"))
			_, dirty := os.Stat(filepath.Join(s.Point, "dirty"))
			if synced != nil || !errors.Is(dirty, fs.ErrNotExist) {
				t.Errorf("synced: %v, not synced: %v: expected the first alone", synced, dirty)
			}
			must(t, os.WriteFile(filepath.Join(s.Point, "own"), []byte("x"), 0o644))
			up(t, s) // of the same tenure: gone on with
			if _, err := os.Stat(filepath.Join(s.Point, "own")); err != nil {
				t.Error(err)
			}
			if rest := down(t, s); !rest.Synced || !rest.Settled {
				t.Errorf("%+v: expected all of it", rest)
			}
			must(t, Cut(context.Background(), s)) // nothing is left to cut
		})
	}
}

// Somebody who has a file open keeps the left-over, and the start that would have cleared it is refused.
func TestEarlierTenureInUse(t *testing.T) {
	s := loopSpec(t, "ext4")
	up(t, s)
	f, err := os.Create(filepath.Join(s.Point, "open"))
	must(t, err)
	later := s
	later.Tenure.Token = "2"
	refused(t, later, "is in use")
	must(t, f.Close())
	up(t, later)
	down(t, later)
}

// Two locks for one device keep nobody out.
func TestOtherLock(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Tenure = Tenure{"file:/lock", "1"}
	up(t, s)
	other := s
	other.Tenure.Lock = "file:/other"
	refused(t, other, `for the lock "file:/lock"`)
	if err := Foresee(other); err == nil || !strings.Contains(err.Error(), "is mounted at "+s.Point) {
		t.Errorf("foreseen: %v", err)
	}
	if err := Cut(context.Background(), other); err == nil {
		t.Error("it was cut off by another lock's holder")
	}
	must(t, Foresee(s))
	up(t, s)
	down(t, s)
}

// What e2fsck says by one exit status, 8, is told apart beforehand. Mounted, claimed, and multiple-mount protection
// have tests of their own.
func TestSixMeanings(t *testing.T) {
	s := loopSpec(t, "ext4")
	image := s.Attach[len(s.Attach)-1]
	s.Attach = []string{"sh", "-c", strings.Join(s.Attach, " ") + " && truncate -s 0 " + image}
	refused(t, s, "input/output error") // it cannot be read
	if !down(t, s).Loose {
		t.Error("a device that answered nothing at its end was not loose")
	}
	must(t, os.Truncate(image, 16<<20))
	s.Attach = []string{"losetup", s.Path, image}
	refused(t, s, "there is no filesystem on it")
	if down(t, s).Loose {
		t.Error("a device that answered was loose")
	}
	gone := s
	gone.Name, gone.Path = "gone", "/dev/disk/by-path/gone"
	gone.Limits.Attach = time.Second
	gone.Attach, gone.Detach = []string{"true"}, []string{"true"}
	refused(t, gone, "is not attached")
}

func TestForesee(t *testing.T) {
	s := loopSpec(t, "ext4")
	must(t, Foresee(s))
	for want, change := range map[string]func(*Spec){
		"there is no command no-such-tool":         func(s *Spec) { s.Attach = []string{"no-such-tool"} },
		"there is no command /no/fsck":             func(s *Spec) { s.Check.Command = []string{"/no/fsck"} },
		"modprobe nbd":                             func(s *Spec) { s.NBD.Host, s.Attach, s.Detach, s.Path = "h", nil, nil, "/dev/nbd-none" },
		"/dev/null is no block device":             func(s *Spec) { s.NBD.Host, s.Attach, s.Detach, s.Path = "h", nil, nil, "/dev/null" },
		"does not exist: make the directory":       func(s *Spec) { s.Point += "/none" },
		"proc is mounted at /proc already":         func(s *Spec) { s.Point = "/proc" },
		"/etc/hostname is no directory":            func(s *Spec) { s.Point = "/etc/hostname" },
		"nothing says how to attach":               func(s *Spec) { s.Detach = nil },
		"give the real path, " + s.Point:           func(s *Spec) { s.Point = link(t, filepath.Dir(s.Point)) + "/" + filepath.Base(s.Point) },
		"is no directory: expected one that is no": func(s *Spec) { s.Point = link(t, s.Point) },
	} {
		changed := s
		change(&changed)
		if err := Foresee(changed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.State, s.Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look has made something: %v", err)
	}
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(to, path))
	return path
}

// A device of a later boot is not what was attached.
func TestReboot(t *testing.T) {
	s := loopSpec(t, "ext4")
	up(t, s)
	w, err := begin(s)
	must(t, err)
	w.state.rec.Boot = "another"
	must(t, w.state.store())
	must(t, w.close())
	refused(t, s, "it is attached, and not by us")
	testkit.Unmount(t, s.Point)
	run(t, s.Detach...)
}
