package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Foresee tells why an Up would fail, as far as that is to be seen without attaching anything: tools, the
// device's node, the directory of its account, the mountpoint. A left-over of an earlier run is none: Up clears it. It changes nothing, and
// touches nothing below the mountpoint.
func Foresee(s Spec) error {
	s = s.withDefaults()
	if err := s.Validate(); err != nil {
		return err
	}
	var errs []error
	for _, tool := range s.tools() {
		if st, err := os.Stat(find(tool)); err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
			errs = append(errs, fmt.Errorf("device %s: there is no command %s: expected it in %s", s.Path, tool, toolPath))
		}
	}
	if s.NBD.Host != "" {
		errs = append(errs, s.nodeThere())
	}
	if os.Geteuid() != 0 {
		errs = append(errs, fmt.Errorf("device %s: attaching and mounting it takes root, we are uid %d", s.Path, os.Geteuid()))
	}
	return errors.Join(append(errs, s.accountFits(), s.pointFree())...)
}

func (s Spec) tools() []string {
	tools := []string{"blkid", "mount"}
	if s.NBD.Host != "" {
		tools = append(tools, "nbd-client")
	} else {
		tools = append(tools, s.Attach[0], s.Detach[0])
	}
	switch {
	case len(s.Check.Command) > 0:
		tools = append(tools, s.Check.Command[0])
	case s.FSType == "ext4" && (!s.Check.Never || s.Check.Verify):
		tools = append(tools, "e2fsck")
	}
	if s.FSType == "xfs" && s.Check.Verify {
		tools = append(tools, "xfs_repair")
	}
	return tools
}

// nodeThere: the nodes of the kernel's network block driver are there before anything is attached.
func (s Spec) nodeThere() error {
	st, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("device %s is not there: load the driver (modprobe nbd), and give the container the device", s.Path)
	case err != nil:
		return err
	case st.Mode()&fs.ModeDevice == 0 || st.Mode()&fs.ModeCharDevice != 0:
		return fmt.Errorf("%s is no block device", s.Path)
	}
	return nil
}

// pointFree looks at the mount table before it looks at the path: what is mounted there may hang.
func (s Spec) pointFree() error {
	top, err := at(s.Point)
	if err != nil {
		return err
	}
	if top != nil {
		if r, err := s.recorded(); err == nil && r.Begun && r.Number == fmt.Sprintf("%d:%d", top.Major, top.Minor) && r.Lock == s.Tenure.Lock {
			return nil
		}
		return foreign(top)
	}
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, s.Point, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("the mountpoint %s does not exist: make the directory", s.Point)
	case err != nil:
		return &os.PathError{Op: "statx", Path: s.Point, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("the mountpoint %s is no directory: expected one that is no symbolic link either", s.Point)
	}
	return s.pointReal()
}

// pointReal: the mount table shows real paths, and a mount that is not found there would be nobody's.
func (s Spec) pointReal() error {
	real, err := filepath.EvalSymlinks(filepath.Dir(s.Point))
	if err == nil && real != filepath.Dir(s.Point) {
		err = fmt.Errorf("the mountpoint %s is reached through a symbolic link: give the real path, %s", s.Point, filepath.Join(real, filepath.Base(s.Point)))
	}
	return err
}

// Export is where an attached network block device is connected to, as address and port; empty for others.
func Export(s Spec) (string, error) {
	r, err := s.recorded()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return r.Export, err
}
