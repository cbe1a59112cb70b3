package file

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// openFlags keep the descriptor out of every child, and never wait for a fifo's other end.
const openFlags = unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK

// pathOf takes the path out of file:///path.
func pathOf(u *url.URL) (string, error) {
	wrong := u.Scheme != "file" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		(u.Host != "" && u.Host != "localhost")
	if wrong || !filepath.IsAbs(u.Path) || strings.HasSuffix(u.Path, "/") || strings.ContainsRune(u.Path, 0) {
		return "", fmt.Errorf("lock %s: %w: expected file:///absolute/path of a file", u.Redacted(), lock.ErrConfig)
	}
	return filepath.Clean(u.Path), nil
}

// checkPath refuses early what can never become a lock file.
func checkPath(path string) error {
	dir := filepath.Dir(path)
	if err := checkFilesystem(path, dir); err != nil { // first: what is refused is not touched further
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return classify(path, "look at its directory "+dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unusable(path, dir+" is no directory: expected one; name another path")
	}
	err := unix.Stat(path, &st)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		return classify(path, "create it in "+dir, err)
	}
	if err != nil {
		return classify(path, "look at it", err)
	}
	if err := checkRegular(path, st); err != nil {
		return err
	}
	err = unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	return classify(path, "read and write it", err)
}

func checkRegular(path string, st unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return unusable(path, "it is a directory: expected a file; name one inside it")
	}
	return unusable(path, "it is a device, pipe or socket: expected a regular file; name another path")
}

func unusable(path, why string) error {
	return fmt.Errorf("lock file %s: %w: %s", path, lock.ErrConfig, why)
}

// hints say the way out for what an operator can put right.
var hints = map[unix.Errno]string{
	unix.ENOENT:       "create the directory, or name another path",
	unix.ENOTDIR:      "a part of the path is no directory; name another path",
	unix.EACCES:       "run as a user who may write there, or change the mode of file and directory",
	unix.EPERM:        "run as a user who may write there, on a filesystem that has hard links",
	unix.EROFS:        "the filesystem is read-only; name a path on a writable one",
	unix.EISDIR:       "it is a directory; name a file inside it",
	unix.ELOOP:        "symbolic links go in a circle; name another path",
	unix.ENAMETOOLONG: "name a shorter path",
	unix.EINVAL:       "the filesystem has no open file description locks; name a path on a local disk",
	unix.EOPNOTSUPP:   "the filesystem does not support this; name a path on a local disk",
	unix.ENXIO:        "it is a device, pipe or socket; name a regular file",
}

// classify gives an error of the system its place: what an operator must change is ErrConfig, everything
// else (a full or failing disk, too many open files) may pass. nil stays nil.
func classify(path, what string, err error) error {
	if err == nil {
		return nil
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		if hint, known := hints[errno]; known {
			return fmt.Errorf("lock file %s: cannot %s (%w): %w: %s", path, what, err, lock.ErrConfig, hint)
		}
	}
	return fmt.Errorf("lock file %s: cannot %s (%w): %w: expected a working local disk; look at the disk and the system's log", path, what, err, lock.ErrUnreachable)
}
