package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// A folder is one in the scratch directory that belongs to the commands.
type folder struct {
	dir  string   // as we see it
	seen string   // as the commands do
	open *os.File // handed to them, for the case that they see it no other way
}

// handed is the path of the one descriptor beyond the usual three that a command gets.
const handed = "/proc/self/fd/3"

// folder makes one. Where its user cannot pass through the directories above (a state directory is
// private), the commands reach it by a descriptor that they inherit.
func (s *scratch) folder(prefix string) (folder, error) {
	dir, err := os.MkdirTemp(s.dir, prefix+"-")
	if err == nil && s.cred != nil {
		err = os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid))
	}
	var open *os.File
	if err == nil {
		open, err = os.Open(dir)
	}
	if err != nil {
		return folder{}, fmt.Errorf("scratch directory: %w", err)
	}
	s.opened = append(s.opened, open)
	f := folder{dir: dir, seen: dir, open: open}
	if s.cred != nil && !passable(filepath.Dir(dir), s.cred) {
		f.seen = handed
	}
	return f, nil
}

// closeFolders closes what folder opened.
func (s *scratch) closeFolders() (err error) {
	for _, f := range s.opened {
		err = errors.Join(err, f.Close())
	}
	s.opened = nil
	return err
}

// passable tells whether a user may pass through a directory and all above it, as far as modes tell.
func passable(dir string, cred *syscall.Credential) bool {
	if cred.Uid == 0 {
		return true
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Mode&bitFor(st, cred) == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
	}
}

// bitFor is the bit of the mode that lets a user pass.
func bitFor(st *syscall.Stat_t, cred *syscall.Credential) uint32 {
	switch {
	case st.Uid == cred.Uid:
		return 0o100
	case st.Gid == cred.Gid || slices.Contains(cred.Groups, st.Gid):
		return 0o010
	}
	return 0o001
}
