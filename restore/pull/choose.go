package pull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/restore"
)

// Choose decides what a holder does before its payload starts.
func Choose(l restore.Look, f Found, s Settings) Choice {
	s = s.withDefaults()
	return chooser{l, f, s}.choose().bound(l, f)
}

func (s Settings) withDefaults() Settings {
	for _, d := range []struct {
		value *string
		first string
	}{{&s.When, restore.WhenEmpty}, {&s.OnEmpty, OnEmptyStop}, {&s.Diverged, DivergedStop}, {&s.At, Latest}} {
		if *d.value == "" {
			*d.value = d.first
		}
	}
	return s
}

func (s Settings) check() error {
	switch {
	case s.When != restore.WhenEmpty && s.When != restore.WhenAlways && s.When != restore.WhenNever:
		return fmt.Errorf("restore.when is %q: expected empty, always or never", s.When)
	case s.OnEmpty != OnEmptyStop && s.OnEmpty != OnEmptyStart:
		return fmt.Errorf("restore.on_empty is %q: expected stop or start", s.OnEmpty)
	case s.Diverged != DivergedStop && s.Diverged != DivergedKeepCopy && s.Diverged != DivergedReplace:
		return fmt.Errorf("restore.diverged is %q: expected stop, keep-copy or replace", s.Diverged)
	}
	return nil
}

// A chooser is one call of Choose.
type chooser struct {
	l restore.Look
	f Found
	s Settings
}

func (c chooser) choose() Choice {
	if err := c.s.check(); err != nil {
		return refuse(exit.Config, "%v", err)
	}
	if why := c.l.Unusable(); why != "" {
		return refuse(exit.Restore, "%s", why)
	}
	unfinished := c.l.Found && c.l.State.Phase != restore.PhaseClean
	switch {
	case c.s.When == restore.WhenNever && unfinished:
		return refuse(exit.Restore, "a restore is unfinished (%s) and restore.when is never: set it to empty", of(c.l.State))
	case c.s.When == restore.WhenNever:
		return none("restore.when is never")
	case c.f.Err != nil:
		return unreadable(c.f.Err)
	case unfinished:
		return c.resume()
	case c.l.Dir == restore.DirEmpty:
		return c.fill()
	case c.s.When == restore.WhenAlways:
		return c.always()
	case !c.l.Found:
		return none("not empty (%q) and unknown: adopted, never overwritten", c.l.Detail)
	}
	return c.keep()
}

// unreadable: a store that cannot be read is no empty one. A start without it is refused.
func unreadable(err error) Choice {
	code, retry := exit.Unreachable, true
	for _, row := range []struct {
		is    error
		code  int
		retry bool
	}{
		{snapshot.ErrDamaged, exit.Damaged, false},
		{store.ErrDamaged, exit.Damaged, false},
		{store.ErrCredentials, exit.Credentials, false},
		{snapshot.ErrIdentity, exit.Credentials, false},
		{snapshot.ErrScope, exit.Config, false},
		{snapshot.ErrFencedOff, exit.Lost, false},
		{snapshot.ErrForeign, exit.Unreachable, false},
		{context.Canceled, exit.Unreachable, false},
	} {
		if errors.Is(err, row.is) {
			code, retry = row.code, row.retry
			break
		}
	}
	c := refuse(code, "the store cannot be read, so what to restore is not known: %v", err)
	c.Retry = retry
	return c
}

// fill: nothing is there.
func (c chooser) fill() Choice {
	if len(c.f.Catalog.Live) == 0 {
		if c.s.OnEmpty == OnEmptyStart {
			return none("neither the data directory nor the store holds anything: a first start (restore.on_empty is start)")
		}
		return refuse(exit.NoSnapshot, "neither the data directory %q nor the store holds anything: for a first start set restore.on_empty to start", c.l.Data)
	}
	why := "data directory is empty"
	if c.l.Found {
		why = "data directory is empty again"
	}
	return c.restore(restore.Run, why)
}

// restore chooses the snapshot that the user wants.
func (c chooser) restore(a restore.Action, why string) Choice {
	s, err := Select(c.f.Catalog, c.s.At)
	if err != nil {
		return refuse(exit.Code(err), "%s, and %v", why, err)
	}
	return Choice{Action: a, Snapshot: s, Reason: fmt.Sprintf("%s: snapshot %s of %s", why, s.ID, s.Time.UTC().Format(time.RFC3339))}
}

// resume: the same snapshot as before, unless the user names one, or something was published since: whoever
// published it had later data.
func (c chooser) resume() Choice {
	st := c.l.State
	why := fmt.Sprintf("a restore is unfinished (%s)", of(st))
	empty := c.l.Dir == restore.DirEmpty
	switch {
	case !empty && st.Phase == restore.PhaseEmpty:
		return refuse(exit.Restore, "%s, nothing of it was written, and yet %q is there: somebody else put it there: look what it is, and empty the data directory or remove %s from the state directory", why, c.l.Detail, restore.StateFile)
	case !empty && !c.l.OwnLeftover():
		return refuse(exit.Restore, "%s, but what lies in the data directory (%q) may be something else: another directory, or one that was not empty before: look whether it is whole; if it is, remove %s from the state directory, else empty the data directory", why, c.l.Detail, restore.StateFile)
	}
	if s, live := c.f.Catalog.Find(snapshot.ID(st.Origin.Snapshot)); live && s.Damaged == "" && c.s.At == Latest && !c.publishedSince() {
		return Choice{Action: restore.Resume, Snapshot: *s, Reason: fmt.Sprintf("%s: resumed in place from snapshot %s", why, s.ID)}
	}
	if len(c.f.Catalog.Live) == 0 {
		return refuse(exit.NoSnapshot, "%s, and the store holds no snapshot any more: name another store, or empty the data directory and remove %s from the state directory", why, restore.StateFile)
	}
	return c.restore(restore.Resume, why)
}

// publishedSince tells whether the catalog has a snapshot that came after the state file's was chosen.
func (c chooser) publishedSince() bool {
	newest, any := c.f.Catalog.Newest()
	o := c.l.State.Origin
	return o.Repository != c.f.Repository || any && newest.Number > o.Catalog
}

// always restores over what is ours, at every start.
func (c chooser) always() Choice {
	switch {
	case !c.l.Found || c.l.State.Inode != c.l.Inode:
		return refuse(exit.Restore, "restore.when is always, but what lies in the data directory (%q) is not known to be ours, and is never overwritten: empty it, or set restore.when to empty to adopt it", c.l.Detail)
	case len(c.f.Catalog.Live) == 0 && c.s.OnEmpty == OnEmptyStart:
		return none("restore.when is always, but the store holds no snapshot yet (restore.on_empty is start)")
	}
	return c.restore(Replace, "restore.when is always")
}

// keep decides about data that our own state file speaks of: what ran on it last, and what was published.
func (c chooser) keep() Choice {
	st := c.l.State
	newest, any := c.f.Catalog.Newest()
	overtaken, known := c.overtaken(newest)
	switch {
	case !known:
		return none("not empty, and no tenure with this store is recorded: adopted, never overwritten (%s)", of(st))
	case !any || !overtaken:
		return none("data is ours and the newest: %s", of(st))
	}
	why := fmt.Sprintf("data is overtaken: here %s, but snapshot %s of %s was published later under token %s", of(st), newest.ID, newest.Time.UTC().Format(time.RFC3339), newest.ID.Token())
	if st.Inode != c.l.Inode && c.s.Diverged != DivergedStop {
		return refuse(exit.Restore, "%s; and the data directory is another one than was recorded, so nothing is moved or overwritten: look what it is, then remove it or its record %s", why, restore.StateFile)
	}
	switch c.s.Diverged {
	case DivergedKeepCopy:
		return c.restore(KeepCopy, why+": it is put aside")
	case DivergedReplace:
		return c.restore(Replace, why+": it is restored over")
	}
	return refuse(exit.Restore, "%s: what was written here since is in no snapshot: move it away by hand and start again, or set restore.diverged to keep-copy (it is put aside) or replace (it is lost)", why)
}

// overtaken tells whether another tenure published later than anybody ran on this data. known is false
// where the state file cannot tell.
func (c chooser) overtaken(newest snapshot.Snapshot) (overtaken, known bool) {
	st := c.l.State
	switch {
	case st.Last.Token != 0:
		return newest.ID.Token() > st.Last.Token, true
	case st.FromStore() && st.Origin.Repository == c.f.Repository: // restored without a lock, and nobody ran on it
		return newest.Number > st.Origin.Catalog, true
	}
	return false, false
}

// of tells of a state in a few words.
func of(s restore.State) string {
	text := ""
	if s.FromStore() {
		text = fmt.Sprintf("snapshot %s restored by token %s, begun %s", s.Origin.Snapshot, s.Token, s.Started.UTC().Format(time.RFC3339))
	} else if s.Last.Token == 0 {
		text = fmt.Sprintf("restored by token %s, begun %s", s.Token, s.Started.UTC().Format(time.RFC3339))
	}
	if s.Last.Token != 0 {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("last tenure %s of %q, since %s", s.Last.Token, s.Last.Holder, s.Last.Since.UTC().Format(time.RFC3339))
	}
	return text
}
