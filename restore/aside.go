package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// asideName is what data is called that is put aside: the last tenure that ran on it (or that restored
// it), and when it was found overtaken.
func asideName(data string, s State, now time.Time) string {
	return fmt.Sprintf("%s.diverged-%s-%s", filepath.Base(data), max(s.Token, s.Last.Token), now.UTC().Format("20060102T150405Z"))
}

// PutAside exchanges the data directory with a new, empty one beside it, in one step, and returns where
// the old one lies now. Nothing of it is ever removed. Killed at any point, the next call goes on under the
// name that was recorded. A data directory that is itself a mount point, and a filesystem that cannot
// exchange two names, are refused before anything changes.
func (s *Session) PutAside() (string, error) {
	l := s.Look()
	switch {
	case l.Unusable() != "":
		return "", fmt.Errorf("%w: %s", ErrRefused, l.Unusable())
	case !l.Found || l.State.Phase != PhaseClean || l.State.Inode != l.Inode || l.Dir != DirNonempty:
		return "", fmt.Errorf("%w: %q is not the data of our record: nothing was put aside", ErrRefused, l.Data)
	}
	st := l.State
	if st.Last.Aside == "" {
		st.Last.Aside = asideName(s.t.Data, st, time.Now())
	}
	up, err := openSiblings(s.t.Data, st.Last.Aside, l.Inode)
	if err != nil {
		return "", err
	}
	err = storeState(s.d, st)
	if err == nil {
		breakpoint.At("restore:aside-named")
		err = up.exchange()
	}
	return filepath.Join(filepath.Dir(s.t.Data), st.Last.Aside), errors.Join(err, up.parent.Close())
}

// siblings are a data directory and the name beside it that it shall have.
type siblings struct {
	parent      *os.File
	data, aside string
	inode       uint64
}

func openSiblings(data, aside string, inode uint64) (*siblings, error) {
	parent, err := openDir(filepath.Dir(data))
	if err != nil {
		return nil, fmt.Errorf("put data aside: %w%s", err, durable.Hint(err))
	}
	p := &siblings{parent, filepath.Base(data), aside, inode}
	above, err := lookAt(int(parent.Fd()), "")
	if err == nil {
		var self entry
		self, err = lookAt(int(parent.Fd()), p.data)
		if err == nil && (self.mount != above.mount || self.ino != inode) {
			err = fmt.Errorf("%w: data directory %q is a mount point, or a link leads there, so it cannot be renamed: move what it holds elsewhere by hand, or set restore.diverged to replace", ErrRefused, data)
		}
	}
	if err != nil {
		return nil, errors.Join(err, parent.Close())
	}
	return p, nil
}

// exchange makes an empty directory with owner and mode of the data directory, and swaps the two.
func (p *siblings) exchange() error {
	dir := int(p.parent.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(dir, p.data, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return p.failed("stat", err)
	}
	if err := unix.Mkdirat(dir, p.aside, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return p.failed("make an empty directory", err)
	}
	breakpoint.At("restore:aside-made")
	if err := p.dress(&st); err != nil {
		return p.failed("prepare the empty directory", err)
	}
	err := durable.Retry(func() error { return unix.Renameat2(dir, p.aside, dir, p.data, unix.RENAME_EXCHANGE) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		err = errors.Join(unix.Unlinkat(dir, p.aside, unix.AT_REMOVEDIR), fmt.Errorf("%w: this filesystem cannot exchange two names in one step: move the data elsewhere by hand, or set restore.diverged to replace", ErrRefused))
	}
	if err != nil {
		return p.failed("exchange", err)
	}
	breakpoint.At("restore:aside-exchanged")
	if err := durable.Retry(p.parent.Sync); err != nil {
		return p.failed("fsync", err)
	}
	breakpoint.At("restore:aside-done")
	return nil
}

// dress refuses a directory of that name which is not empty: it is none that we made for this.
func (p *siblings) dress(st *unix.Stat_t) error {
	f, err := openAt(int(p.parent.Fd()), p.aside)
	if err != nil {
		return err
	}
	first, _, err := firstEntry(f)
	if err == nil && first != "" {
		err = fmt.Errorf("%w: it is there already and holds %q", ErrRefused, first)
	}
	if err == nil {
		err = f.Chown(int(st.Uid), int(st.Gid))
	}
	if err == nil {
		err = unix.Fchmod(int(f.Fd()), st.Mode&0o7777)
	}
	return errors.Join(err, f.Close())
}

func (p *siblings) failed(what string, err error) error {
	return fmt.Errorf("put data aside as %q: %s: %w%s", filepath.Join(p.parent.Name(), p.aside), what, err, durable.Hint(err))
}
