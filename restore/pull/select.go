package pull

import (
	"errors"
	"time"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
)

// Select finds the live snapshot that `at` means: Latest (or nothing), an ID, or a time in RFC 3339, which
// means the last one begun until then. One that is marked as damaged is never chosen. The error carries
// its exit code.
func Select(c snapshot.Catalog, at string) (snapshot.Snapshot, error) {
	if at == "" || at == Latest {
		return newestWhole(c, at, func(snapshot.Snapshot) bool { return true })
	}
	if until, err := time.Parse(time.RFC3339, at); err == nil {
		return newestWhole(c, at, func(s snapshot.Snapshot) bool { return !s.Time.After(until) })
	}
	id, err := snapshot.ParseID(at)
	if err != nil {
		return snapshot.Snapshot{}, exit.Withf(exit.Config, "%q is no snapshot: expected latest, an ID as `interlock snapshots` prints it, or a time such as 2026-01-02T15:04:05Z", at)
	}
	s, live := c.Find(id)
	switch {
	case !live:
		return snapshot.Snapshot{}, exit.Withf(exit.NoSnapshot, "snapshot %s: %w", id, snapshot.ErrNoSnapshot)
	case s.Damaged != "":
		return snapshot.Snapshot{}, exit.Withf(exit.Damaged, "snapshot %s is marked as damaged (%s): choose another, or verify it again", id, s.Damaged)
	}
	return *s, nil
}

// newestWhole is by number, which no clock can change.
func newestWhole(c snapshot.Catalog, at string, want func(snapshot.Snapshot) bool) (snapshot.Snapshot, error) {
	var best snapshot.Snapshot
	damaged, any := 0, false
	for _, s := range c.Live {
		switch {
		case !want(s):
		case s.Damaged != "":
			damaged++
		case !any || s.Number > best.Number:
			best, any = s, true
		}
	}
	switch {
	case any:
		return best, nil
	case damaged > 0:
		return best, exit.Withf(exit.Damaged, "all %d snapshots that could be restored are marked as damaged: verify them again, or restore by hand what is left of one", damaged)
	case len(c.Live) == 0:
		return best, exit.With(exit.NoSnapshot, errors.New("the store holds no snapshot"))
	}
	return best, exit.Withf(exit.NoSnapshot, "none of the store's %d snapshots was begun until %s", len(c.Live), at)
}

// ChooseAlone decides for a restore without a lock: into an empty directory, over an unfinished restore of
// ours, and over anything else only with replace. A directory that is missing counts as empty: Run makes it,
// not its parent.
func ChooseAlone(l restore.Look, f Found, at string, replace bool) Choice {
	s := Settings{At: at}.withDefaults()
	if l.Dir == restore.DirMissing && l.Trouble == "" {
		l.Dir = restore.DirEmpty
	}
	return alone(chooser{l, f, s}, replace).bound(l, f)
}

func alone(c chooser, replace bool) Choice {
	if why := c.l.Unusable(); why != "" {
		return refuse(exit.Restore, "%s", why)
	}
	if c.f.Err != nil {
		return unreadable(c.f.Err)
	}
	unfinished := c.l.Found && c.l.State.Phase != restore.PhaseClean
	switch {
	case replace && c.l.Dir == restore.DirNonempty:
		return c.restore(Replace, "what is there is given up")
	case unfinished:
		return c.resume()
	case c.l.Dir == restore.DirEmpty:
		return c.restore(restore.Run, "the directory is empty")
	}
	return refuse(exit.Restore, "directory %q is not empty (it holds %q): name another one, or allow that it is replaced (--replace)", c.l.Data, c.l.Detail)
}
