package restore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// DirState is what a look at the data directory showed.
type DirState string

// States of a data directory.
const (
	DirMissing  DirState = "missing"
	DirNot      DirState = "not-a-directory"
	DirEmpty    DirState = "empty"
	DirNonempty DirState = "nonempty"
	DirUnknown  DirState = "unknown"
)

// A Look is what is there: all that a decision rests on.
type Look struct {
	Data    string      `json:"data"` // path of the data directory
	Dir     DirState    `json:"dir"`
	Detail  string      `json:"detail,omitempty"` // an entry found, or the error of an unknown one
	Inode   uint64      `json:"inode,omitempty"`
	Rel     string      `json:"rel"`   // the data directory seen from the state directory
	Ours    fence.Token `json:"ours"`  // 0: none (dry run)
	Found   bool        `json:"found"` // there is a state file
	State   State       `json:"state,omitzero"`
	Trouble string      `json:"trouble,omitempty"` // why the state file cannot be used
}

// Names in the root of a data directory that do not count as content, if they are directories.
var ours = [...]string{".interlock", "lost+found"}

// volumeFile is the file of a mount's identity, in its root; a test in cmd/interlock holds the name against
// package mountcheck's. It tells of the disk, and does not count either.
const volumeFile = ".interlock-volume"

// Inspect looks at the data directory and at the state file; it changes nothing. token is ours, or 0.
func Inspect(dataDir, stateDir string, token fence.Token) Look {
	l := Look{Data: dataDir, Ours: token}
	rel, err := relative(stateDir, dataDir)
	if err != nil {
		l.Dir, l.Trouble = DirUnknown, err.Error()
		return l
	}
	l.Rel = rel
	if err := l.lookAtState(stateDir); err != nil {
		l.Trouble = err.Error()
	}
	l.lookAtData(dataDir)
	return l
}

func (l *Look) lookAtState(stateDir string) error {
	d, err := durable.Open(stateDir)
	if errors.Is(err, durable.ErrAbsent) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	l.State, l.Found, err = loadState(d)
	return errors.Join(err, d.Close())
}

func (l *Look) lookAtData(path string) {
	f, err := openDir(path)
	if err != nil {
		l.Dir, l.Detail = dirStateOf(err), err.Error()
		return
	}
	first, ino, err := firstEntry(f)
	if err := errors.Join(err, f.Close()); err != nil {
		l.Dir, l.Detail = DirUnknown, err.Error()
		return
	}
	l.Dir, l.Inode, l.Detail = DirEmpty, ino, first
	if first != "" {
		l.Dir = DirNonempty
	}
}

// dirStateOf: only a real ENOENT is missing, only a wrong kind is not-a-directory.
func dirStateOf(err error) DirState {
	switch {
	case errors.Is(err, unix.ENOENT):
		return DirMissing
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return DirNot
	}
	return DirUnknown
}

func openDir(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// firstEntry names one entry that counts as content, or none, and gives the directory's inode.
func firstEntry(f *os.File) (string, uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", 0, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	for {
		names, err := f.Readdirnames(64)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", 0, err
		}
		if len(names) == 0 {
			return "", st.Ino, nil
		}
		for _, name := range names {
			kept, err := isOurs(int(f.Fd()), name)
			if err != nil {
				return "", 0, &os.PathError{Op: "stat", Path: filepath.Join(f.Name(), name), Err: err}
			}
			if !kept {
				return name, st.Ino, nil
			}
		}
	}
}

// isOurs tells whether an entry of a data directory is one that does not count.
func isOurs(dir int, name string) (bool, error) {
	if name != ours[0] && name != ours[1] && name != volumeFile {
		return false, nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	want := uint32(unix.S_IFDIR)
	if name == volumeFile {
		want = unix.S_IFREG
	}
	return st.Mode&unix.S_IFMT == want, nil
}
