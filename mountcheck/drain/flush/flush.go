// Package flush is the one call of a drain that touches a mount.
//
// Promise: nil means that all that was written before is stored. Non-promise: it hangs as long as the filesystem
// does. It is a leaf, because the worker that calls it has to start early and light. Called by internal/worker,
// and by the tests through package drain.
package flush

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Sync waits until all that was written to the filesystem of path is stored, and until its server has then
// answered once more: a sync of a filesystem without pages to write asks nobody. It hangs as long as the
// filesystem does, so it is called in a process that may.
func Sync(path string) error {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(f.Fd()))
	if err == nil {
		var st unix.Statfs_t
		err = unix.Fstatfs(int(f.Fd()), &st)
	}
	if err != nil {
		err = &os.PathError{Op: "sync", Path: path, Err: err}
	}
	return errors.Join(err, f.Close())
}
