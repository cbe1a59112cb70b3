package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/zeebo/blake3"
)

// Names in the scratch directory: one folder of ours, and in it what is kept and what is under way.
const (
	scratchName = "interlock-backup"
	keptSuffix  = ".kept"  // a manifest
	begunSuffix = ".begun" // a snapshot that was begun and, as far as is known here, not published; before it its repository
)

// A scratch is our folder in the scratch directory, locked.
type scratch struct {
	dir    string
	lock   *durable.Dir
	cred   *syscall.Credential
	opened []*os.File
}

// openScratch makes or takes the folder, and removes what a backup left that was killed.
func openScratch(above string, cred *syscall.Credential) (*scratch, error) {
	if !filepath.IsAbs(above) {
		return nil, fmt.Errorf("%w: scratch directory %q: expected an absolute path", ErrSource, above)
	}
	dir := filepath.Join(above, scratchName)
	lock, err := durable.OpenOrMake(dir)
	if err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	err = locked(lock)
	s := &scratch{dir: dir, lock: lock, cred: cred}
	if err == nil {
		err = s.sweep()
	}
	// The commands pass through it to what is theirs; they cannot list it.
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scratch directory: %w", err), lock.Close())
	}
	return s, nil
}

// sweep removes all but what is kept: under the lock nobody else is at work here.
func (s *scratch) sweep() error {
	found, err := os.ReadDir(s.dir)
	for _, e := range found {
		if ext := filepath.Ext(e.Name()); ext != keptSuffix && ext != begunSuffix {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}

func (s *scratch) close() error { return errors.Join(s.closeFolders(), s.sweep(), s.lock.Close()) }

// below gives the pattern that leaves the folder out of a tree in which it lies (a home with its cache): it
// changes all the time, and is no data. None where it lies elsewhere.
func (s *scratch) below(data string) []string {
	dir, err1 := filepath.EvalSymlinks(s.dir)
	root, err2 := filepath.EvalSymlinks(data)
	if err1 != nil || err2 != nil {
		return nil // what is wrong shows where it is opened
	}
	rel, inside := strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
	if !inside {
		return nil
	}
	return []string{"/" + strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(rel)}
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

// keep gives a manifest's copy its stable name.
func (s *scratch) keep(copied, name string) error { return os.Rename(copied, s.path(name)) }

func (s *scratch) drop(copied string) error {
	if copied == "" {
		return nil
	}
	return os.Remove(copied)
}

// keptName is the name of the kept manifest: one for each repository and each line of snapshots that build
// on each other.
func (t *taking) keptName() string {
	line := t.src.Preset
	if t.src.Mode.tree() {
		line = t.src.Data
	}
	sum := blake3.Sum256([]byte(t.o.Repository.ID + "\x00" + fmt.Sprint(t.src.Mode.tree()) + "\x00" + line))
	return hex.EncodeToString(sum[:12]) + keptSuffix
}

// mark notes that a snapshot is begun, so that a later backup can clear away what it left in the store. Which
// store stands with it: backups into others may have the same scratch directory.
func (s *scratch) mark(repo string, id snapshot.ID) error {
	return os.WriteFile(s.path(markName(repo, id)), nil, 0o600)
}

func (s *scratch) unmark(repo string, id snapshot.ID) error {
	return os.Remove(s.path(markName(repo, id)))
}

func markName(repo string, id snapshot.ID) string { return string(id) + "." + repo + begunSuffix }

// marked are those that are begun in a repository. Under the lock none of them is under way, but for our own.
func (s *scratch) marked(repo string) (ids []snapshot.ID, err error) {
	found, err := os.ReadDir(s.dir)
	for _, e := range found {
		name, ours := strings.CutSuffix(e.Name(), "."+repo+begunSuffix)
		if !ours {
			continue
		}
		id, err := snapshot.ParseID(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, err
}

// locked takes a directory's lock. A process that was forked a moment ago has a copy of every descriptor
// until it executes its program, so a lock that was just let go may be taken for a little longer.
func locked(d *durable.Dir) (err error) {
	for range 50 {
		if err = d.Lock(); !errors.Is(err, durable.ErrBusy) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%w: %w", ErrBusy, err)
}
