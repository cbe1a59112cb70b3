package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
)

// accountInside is the name of the account of a restore with --to in the directory's own .interlock, beside
// what a run keeps there.
const accountInside = "restore-to"

// accountFor is where a restore with --to keeps its account until it is whole: beside the directory. A volume
// of a container is a mount point, and what lies beside it is gone when the container is started again, or is
// not ours to write; then it lies on the volume.
func accountFor(data string, dry bool) (string, error) {
	beside := filepath.Join(filepath.Dir(data), "."+filepath.Base(data)+".interlock")
	inside := filepath.Join(data, restore.StateDirName, accountInside)
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		return beside, nil
	}
	if _, err := os.Lstat(beside); !errors.Is(err, fs.ErrNotExist) {
		return beside, nil
	}
	if m, err := mountcheck.Trace(data); (err != nil || m.Point != data) && !refused(filepath.Dir(data)) {
		return beside, nil
	}
	if _, err := os.Lstat(filepath.Dir(inside)); dry && errors.Is(err, fs.ErrNotExist) {
		return beside, nil // neither is there, and a dry run makes nothing
	}
	if err := os.Mkdir(filepath.Dir(inside), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", exit.Withf(exit.Restore, "--to: the account of the restore: %w%s", err, durable.Hint(err))
	}
	return inside, nil
}

// notBegun removes the directory that holds the account in the restored one, where nothing is left in it, and
// gives the restored one its time back.
func notBegun(account string) error {
	if filepath.Base(account) != accountInside {
		return nil
	}
	dir := filepath.Dir(account)
	info, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return err
	}
	err = os.Remove(dir)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	times := os.Chtimes(filepath.Dir(dir), time.Time{}, info.ModTime())
	if errors.Is(times, fs.ErrPermission) { // it is another user's: the restore has said so
		times = nil
	}
	return errors.Join(err, times)
}
