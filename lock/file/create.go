package file

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openOrCreate opens the lock file for reading and writing. The loop is for a file that is removed
// between two steps.
func openOrCreate(path string) (int, error) {
	var err error
	for range 3 {
		var fd int
		fd, err = unix.Open(path, unix.O_RDWR|openFlags, 0)
		if err == nil {
			return fd, checkOpened(path, fd)
		}
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		if err := create(path); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, classify(path, "create it", err)
		}
	}
	return -1, classify(path, "open it", err)
}

// checkOpened closes what is no place for a lock.
func checkOpened(path string, fd int) error {
	var st unix.Stat_t
	err := classify(path, "look at it", unix.Fstat(fd, &st))
	if err == nil {
		err = checkRegular(path, st)
	}
	if err == nil {
		err = checkOpenFilesystem(path, fd)
	}
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

// create makes the file under another name, whole and on the disk, and then gives it its own name by
// link, which fails if that is taken: nobody ever sees a lock file without content, nor two of them. All
// of it is written out, so that a heartbeat needs no space that a full disk would refuse.
func create(path string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name()), f.Close()) }()
	if err := fill(f); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// fill writes a file of which nothing was granted yet.
func fill(f *os.File) error {
	all := make([]byte, fileSize)
	copy(all, head)
	first, err := encode(state{Seq: 1}, nil)
	if err != nil {
		return err
	}
	copy(all[headSize:], first)
	if _, err := f.Write(all); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
