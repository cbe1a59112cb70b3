package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/interlock-run/interlock/internal/store"
)

// A verdict says what some errors of the system mean for a store, and what to do.
type verdict struct {
	errnos []syscall.Errno
	is     error
	hint   string
}

// verdicts in order. What is in none of them stays what it is: never absent, never done.
func verdicts() []verdict {
	return []verdict{
		{[]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}, store.ErrFull, "free space or raise the quota"},
		{[]syscall.Errno{syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
			syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ENETUNREACH, syscall.EREMOTEIO, syscall.ENODEV, syscall.ENXIO},
			store.ErrUnreachable, "look at the mount and its server"},
		{[]syscall.Errno{syscall.EACCES, syscall.EPERM}, store.ErrCredentials, "let this user read and write there"},
		{[]syscall.Errno{syscall.EROFS}, store.ErrUnusable, "mount it for writing"},
		{[]syscall.Errno{syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP}, store.ErrUnusable, "something that is no object of ours lies there: look at it"},
		{[]syscall.Errno{syscall.EXDEV}, store.ErrUnusable, "the store's directory must lie on one filesystem"},
	}
}

// fault is the one line of an error: what, where, what it means, why, what to do.
func (d *Dir) fault(what, key string, err error) error {
	return judge(what, filepath.Join(d.path, key), err)
}

func judge(what, path string, err error) error {
	cause := bare(err)
	for _, v := range verdicts() {
		if !slices.ContainsFunc(v.errnos, func(e syscall.Errno) bool { return errors.Is(cause, e) }) {
			continue
		}
		return fmt.Errorf("cannot %s %q: %w (%w): %s", what, path, v.is, cause, v.hint)
	}
	return fmt.Errorf("cannot %s %q: %w", what, path, cause)
}

// opening is the fault of the directory itself.
func opening(path string, err error) error {
	cause := bare(err)
	if errors.Is(cause, syscall.ENOENT) {
		return fmt.Errorf("store directory %q: %w: mount what holds it, or make it first", path, store.ErrNoPlace)
	}
	if info, serr := os.Stat(path); errors.Is(cause, syscall.ENOTDIR) || serr == nil && !info.IsDir() {
		return fmt.Errorf("store directory %q: %w: expected a directory, something else lies there", path, store.ErrNoPlace)
	}
	return judge("open the store directory", path, err)
}

// bare drops the path of an error of package os: it is relative to the root, and said already.
func bare(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
