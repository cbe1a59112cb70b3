package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// oursName is the folder of this program, beside the data or in the root of its filesystem. No walk of a
// tree enters one in its root.
const oursName = ".interlock"

// A staging is a folder for clones, on the filesystem of the data. Its name tells whose data it is for, and
// its lock that nobody else is at work there: what an earlier one left is ours to remove.
type staging struct {
	dir   string
	lock  *durable.Dir
	above string // removed at the end, if it was made for this; empty: it was there
}

// openStaging makes an empty one and tries whether files can be cloned.
func openStaging(data, wanted string) (*staging, error) {
	above, err := stagingAbove(data, wanted)
	if err != nil {
		return nil, err
	}
	s := &staging{}
	if _, err := os.Lstat(above); errors.Is(err, os.ErrNotExist) {
		s.above = above
	}
	parent, err := durable.OpenOrMake(above)
	if err == nil {
		err = parent.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("staging folder of reflink: %w", err)
	}
	name := blake3.Sum256([]byte(data))
	s.dir = filepath.Join(above, "staging-"+hex.EncodeToString(name[:8]))
	if s.lock, err = durable.OpenOrMake(s.dir); err != nil {
		return nil, fmt.Errorf("staging folder of reflink: %w", err)
	}
	if err := locked(s.lock); err != nil {
		return nil, errors.Join(fmt.Errorf("staging folder of reflink: %w", err), s.lock.Close())
	}
	if err := errors.Join(s.empty(), s.probe(data)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// stagingAbove chooses the folder that holds the staging folder: beside the data, or in it where that is
// the root of its filesystem.
func stagingAbove(data, wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	var here, up unix.Stat_t
	if err := unix.Stat(data, &here); err != nil {
		return "", fmt.Errorf("data directory %q: %w", data, err)
	}
	if err := unix.Stat(filepath.Dir(data), &up); err != nil {
		return "", fmt.Errorf("directory %q: %w", filepath.Dir(data), err)
	}
	if here.Dev != up.Dev {
		return filepath.Join(data, oursName), nil
	}
	return filepath.Join(filepath.Dir(data), oursName), nil
}

// empty removes all that lies in it.
func (s *staging) empty() error {
	found, err := os.ReadDir(s.dir)
	for _, e := range found {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
	}
	return err
}

// probe clones a file of its own, before anybody is frozen for it. Whether the data lies on the same
// filesystem the first file tells.
func (s *staging) probe(data string) error {
	from, err := os.Create(filepath.Join(s.dir, "probe"))
	if err != nil {
		return err
	}
	to, err := os.Create(filepath.Join(s.dir, "probed"))
	if err == nil {
		if _, err = from.WriteString("x"); err == nil {
			err = cannotClone(data, unix.IoctlFileClone(int(to.Fd()), int(from.Fd())))
		}
		err = errors.Join(err, to.Close(), os.Remove(to.Name()))
	}
	return errors.Join(err, from.Close(), os.Remove(from.Name()))
}

// cannotClone tells a filesystem that cannot from other trouble.
func cannotClone(what string, err error) error {
	for _, no := range []unix.Errno{unix.EOPNOTSUPP, unix.ENOTTY, unix.EINVAL, unix.ENOSYS, unix.EXDEV} {
		if err == no {
			return fmt.Errorf("%q: %w (%w): expected XFS or Btrfs with data and staging folder on one filesystem: use mode hook or command", what, ErrReflink, err)
		}
	}
	return err
}

func (s *staging) path(n int64) string {
	return filepath.Join(s.dir, strconv.FormatInt(n/1000, 10), strconv.FormatInt(n, 10))
}

// clone makes clone n of an open file.
func (s *staging) clone(r *fstree.Reader, n int64) error {
	path := s.path(n)
	if n%1000 == 0 || n == 1 {
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(cannotClone(r.Entry().Path, r.CloneTo(to)), to.Close())
}

func (s *staging) close() error {
	err := errors.Join(s.empty(), os.Remove(s.dir), s.lock.Close())
	if s.above != "" {
		if gone := os.Remove(s.above); gone != nil && !errors.Is(gone, unix.ENOTEMPTY) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// A clone is an open clone. What it lacks of the size it had in its directory is zeros: that was allowed,
// or it would not have been cloned.
type clone struct {
	*os.File
	size int64
}

func (s *staging) open(n, size int64) (clone, error) {
	f, err := os.Open(s.path(n))
	return clone{f, size}, err
}

// ReadAt reads up to the size.
func (c clone) ReadAt(p []byte, off int64) (int, error) {
	want := p[:max(0, min(int64(len(p)), c.size-off))]
	n, err := c.File.ReadAt(want, off)
	if errors.Is(err, io.EOF) {
		clear(want[n:])
		n, err = len(want), nil
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
