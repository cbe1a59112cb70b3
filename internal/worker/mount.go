package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

var errMissing = errors.New("mount is not there")

// checkMount refuses to work in the bare directory below a mount that has gone: the mount look of the
// agent was a moment ago, and a state directory made there would hide a claim from everybody.
func checkMount(r Request) error { return OnMount(r.StateDir, r.Data, r.Mount) }

// OnMount is nil where mount is a mount point and holds both directories, or where none is named; either
// directory may be empty.
func OnMount(stateDir, data, mount string) error {
	if mount == "" {
		return nil
	}
	root, err := mountOf(mount)
	if err != nil {
		return err
	}
	if !root.isRoot {
		return fmt.Errorf("%w: %q is a plain directory: expected a mount point: mount it; nothing was written", errMissing, mount)
	}
	for _, path := range []string{stateDir, data} {
		if path == "" || path == mount {
			continue
		}
		if err := insideMount(path, mount, root); err != nil {
			return err
		}
	}
	return nil
}

// insideMount checks the path, or its parent where the path itself is not there yet.
func insideMount(path, mount string, root mountID) error {
	if !strings.HasPrefix(path, strings.TrimSuffix(mount, "/")+"/") {
		return fmt.Errorf("%w: %q does not lie below the mount %q", errRequest, path, mount)
	}
	at, err := mountOf(path)
	if errors.Is(err, unix.ENOENT) {
		at, err = mountOf(filepath.Dir(path))
	}
	if errors.Is(err, unix.ENOENT) {
		return nil // the operation itself says what is missing, and makes one level at most
	}
	if err != nil {
		return err
	}
	if at.id != root.id {
		return fmt.Errorf("%w: %q lies on another mount than %q: expected the same one: unmount what lies in between, or choose another place", errMissing, path, mount)
	}
	return nil
}

// A mountID is the mount that a path lies on.
type mountID struct {
	id     uint64
	isRoot bool // the path is where it is mounted
}

func mountOf(path string) (mountID, error) {
	var st unix.Statx_t
	err := durable.Retry(func() error {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st)
	})
	if err != nil {
		return mountID{}, fmt.Errorf("%w%s", &os.PathError{Op: "statx", Path: path, Err: err}, durable.Hint(err))
	}
	if st.Mask&unix.STATX_MNT_ID == 0 || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return mountID{}, fmt.Errorf("statx %q: the kernel does not tell mount points: expected Linux 5.8 or later", path)
	}
	return mountID{id: st.Mnt_id, isRoot: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}, nil
}
