package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// mount makes a mount of a test, which ends with it.
func mount(t *testing.T, fstype, at, data string, flags uintptr) string {
	t.Helper()
	must(t, os.MkdirAll(at, 0o755))
	must(t, unix.Mount(fstype, at, fstype, flags, data))
	t.Cleanup(func() { testkit.Unmount(t, at) })
	return at
}

// Without a place for the account an attachment could not be told from somebody else's: that is said before anything
// is attached, and the look makes nothing.
func TestForeseeTheAccount(t *testing.T) {
	s := loopSpec(t, "ext4")
	base := t.TempDir()
	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	readonly := mount(t, "tmpfs", filepath.Join(base, "ro"), "", unix.MS_RDONLY)
	remote := testkit.StartFaultFS(t, "")
	written := func(name, text string) string {
		dir := filepath.Join(base, name)
		must(t, os.MkdirAll(filepath.Join(dir, s.Name), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, s.Name, stateFile), []byte(text), 0o600))
		return dir
	}
	for state, want := range map[string]string{
		s.State:                               "",
		filepath.Join(base, "new"):            "",
		written("kept", `{"v":1}`):            "",
		filepath.Join(base, "none", "new"):    "none does not exist: make it",
		file:                                  "is no directory",
		filepath.Join(file, "below"):          "is no directory",
		link(t, s.State):                      "and no symbolic link",
		filepath.Join(link(t, base), "other"): "",
		readonly:                              "read-only file system",
		filepath.Join(readonly, "new"):        "read-only file system",
		filepath.Join(s.Point, "state"):       "lies on the device itself",
		filepath.Join(remote.Dir, "state"):    "fuse.faultfs",
		written("garbage", "{"):               "then remove it",
		written("later", `{"v":2}`):           "it is of version 2, expected 1",
	} {
		changed := s
		changed.State = state
		if err := Foresee(changed); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, expected %q", state, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(base, "new")); !os.IsNotExist(err) {
		t.Errorf("a look has made something: %v", err)
	}
}

// A network filesystem that hangs keeps no look waiting.
func TestAccountOnAMountThatHangs(t *testing.T) {
	s := loopSpec(t, "ext4")
	remote := testkit.StartFaultFS(t, "")
	s.State = filepath.Join(remote.Dir, "a", "state")
	remote.Set(t, "hang")
	t.Cleanup(func() { remote.Set(t, "ok") })
	if err := Foresee(s); err == nil || !strings.Contains(err.Error(), "is on "+remote.Dir) {
		t.Errorf("got %v", err)
	}
}

// The layer of a container goes with it, and the attachment does not.
func TestForgetful(t *testing.T) {
	s := loopSpec(t, "ext4")
	base := mount(t, "tmpfs", filepath.Join(t.TempDir(), "base"), "", 0)
	for _, name := range []string{"lower", "upper", "work"} {
		must(t, os.Mkdir(filepath.Join(base, name), 0o755))
	}
	layer := mount(t, "overlay", filepath.Join(base, "layer"), "lowerdir="+base+"/lower,upperdir="+base+"/upper,workdir="+base+"/work", 0)
	for state, want := range map[string]bool{filepath.Join(layer, "run"): true, filepath.Join(base, "run"): false} {
		s.State = state
		if on, got := Forgetful(s); got != want {
			t.Errorf("%s on %s: %v", state, on, got)
		}
	}
}
