package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"
)

// How old a leftover must be before it goes: with the proof that no writer holds its lock, and without,
// where the filesystem knows no locks. By the filesystem's own clock.
const (
	ageUnlocked = time.Hour
	ageUnknown  = 7 * 24 * time.Hour
)

// Sweep removes what killed writers left in .tmp and tells how many files that were. Only a file that no
// living writer holds, or that none could still be at work on, goes.
func (d *Dir) Sweep(ctx context.Context) (removed int, err error) {
	names, err := d.temps()
	if err != nil || len(names) == 0 {
		return 0, err
	}
	now, err := d.now()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := ended(ctx, name); err != nil {
			return removed, err
		}
		gone, err := d.sweepOne(path.Join(tempDir, name), now)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

func (d *Dir) temps() ([]string, error) {
	f, err := d.root.Open(tempDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.gone()
	}
	if err != nil {
		return nil, d.fault("open", tempDir, err)
	}
	names, err := f.Readdirnames(-1)
	if err := firstOf(err, f.Close()); err != nil {
		return nil, d.fault("list", tempDir, err)
	}
	return names, nil
}

// now is the time by the clock that also stamped the leftovers: another host's may be hours off.
func (d *Dir) now() (time.Time, error) {
	t, err := d.newTemp()
	if err != nil {
		return time.Time{}, err
	}
	info, err := t.f.Stat()
	if err := firstOf(err, t.drop()); err != nil {
		return time.Time{}, d.fault("look at", t.name, err)
	}
	return info.ModTime(), nil
}

func (d *Dir) sweepOne(name string, now time.Time) (gone bool, err error) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, d.fault("open", name, err)
	}
	old, err := leftBehind(f, now)
	if err == nil && old {
		// Its lock is still ours: a writer that came to it now would find it held.
		if err = d.root.Remove(name); errors.Is(err, fs.ErrNotExist) {
			old, err = false, nil
		}
	}
	if err := firstOf(err, f.Close()); err != nil {
		return false, d.fault("sweep", name, err)
	}
	return old, nil
}

func leftBehind(f *os.File, now time.Time) (bool, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	age := now.Sub(info.ModTime())
	switch err := flock(f); {
	case err == nil:
		return age >= ageUnlocked, nil
	case unsupported(err):
		return age >= ageUnknown, nil
	default:
		return false, nil // held
	}
}
