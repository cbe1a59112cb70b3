package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/restore"
)

const repoID, otherRepo = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// snap is the snapshot that catalog n published under a token, n hours after noon.
func snap(n uint64, token fence.Token) snapshot.Snapshot {
	at := noon.Add(time.Duration(n) * time.Hour)
	return snapshot.Snapshot{ID: snapshot.ID(fmt.Sprintf("%s-%s-%016x", at.Format("20060102T150405Z"), token, n)), Number: n, Time: at}
}

func damagedSnap(n uint64, token fence.Token) snapshot.Snapshot {
	s := snap(n, token)
	s.Damaged = "pack 3"
	return s
}

func holds(live ...snapshot.Snapshot) Found {
	c := snapshot.Catalog{Number: 1, Live: live}
	if len(live) > 0 {
		c.Number = live[len(live)-1].Number + 1
	}
	return Found{Repository: repoID, Catalog: c}
}

func fails(err error) Found { return Found{Err: fmt.Errorf("s3: %w", err)} }

// Looks of a holder with token 9.
func empty() restore.Look {
	return restore.Look{Data: "/d", Dir: restore.DirEmpty, Inode: 5, Rel: "../d", Ours: 9}
}

func full() restore.Look {
	l := empty()
	l.Dir, l.Detail = restore.DirNonempty, "ibdata1"
	return l
}

// with gives a look a state file.
func with(l restore.Look, phase restore.Phase, change func(*restore.State)) restore.Look {
	l.Found = true
	l.State = restore.State{V: restore.StateVersion, Data: "../d", Path: "/d", Inode: 5, Phase: phase, When: restore.WhenEmpty, Token: 3, Holder: "a", Started: noon}
	if change != nil {
		change(&l.State)
	}
	return l
}

// from says that the data is of snapshot n of the repository, chosen while n was the newest.
func from(n uint64, token fence.Token) func(*restore.State) {
	return func(s *restore.State) {
		s.Origin = restore.Origin{Repository: repoID, Snapshot: string(snap(n, token).ID), Catalog: n + 1}
	}
}

// ran says that a tenure ran on it since.
func ran(token fence.Token, before ...func(*restore.State)) func(*restore.State) {
	return func(s *restore.State) {
		for _, f := range before {
			f(s)
		}
		s.Last = restore.Tenure{Token: token, Holder: "a", Since: noon}
	}
}

func state(changes ...func(*restore.State)) func(*restore.State) {
	return func(s *restore.State) {
		for _, f := range changes {
			f(s)
		}
	}
}

func moved(s *restore.State)    { s.Inode = 6 }
func byScript(s *restore.State) { s.When = restore.WhenAlways }
func alone0(s *restore.State)   { s.Token = 0 }

type row struct {
	name string
	look restore.Look
	in   Found
	set  Settings
	want restore.Action
	snap uint64 // its number
	code int
	says string
}

func rows() []row {
	keep, replace := Settings{Diverged: DivergedKeepCopy}, Settings{Diverged: DivergedReplace}
	start, always, never := Settings{OnEmpty: OnEmptyStart}, Settings{When: restore.WhenAlways}, Settings{When: restore.WhenNever}
	clean, begun := restore.PhaseClean, restore.PhaseRestoring
	two := holds(snap(1, 2), snap(2, 3))
	later := holds(snap(1, 2), snap(2, 3), snap(5, 7))
	return []row{
		// The store cannot be read: never taken for an empty one.
		{"unreachable", empty(), fails(store.ErrUnreachable), start, restore.Refuse, 0, exit.Unreachable, "cannot be read"},
		{"no bucket", empty(), fails(store.ErrNoPlace), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"no repository", empty(), fails(snapshot.ErrMissing), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"not ours", empty(), fails(snapshot.ErrForeign), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"damaged catalog", empty(), fails(snapshot.ErrDamaged), start, restore.Refuse, 0, exit.Damaged, ""},
		{"short object", empty(), fails(store.ErrDamaged), start, restore.Refuse, 0, exit.Damaged, ""},
		{"credentials", empty(), fails(store.ErrCredentials), start, restore.Refuse, 0, exit.Credentials, ""},
		{"no identity", empty(), fails(snapshot.ErrIdentity), start, restore.Refuse, 0, exit.Credentials, ""},
		{"another lock's", empty(), fails(snapshot.ErrScope), start, restore.Refuse, 0, exit.Config, ""},
		{"deposed", empty(), fails(snapshot.ErrFencedOff), start, restore.Refuse, 0, exit.Lost, ""},
		{"given up", empty(), fails(context.Canceled), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"unreachable, data ours", with(full(), clean, ran(8)), fails(store.ErrUnreachable), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"unreachable, data unknown", full(), fails(store.ErrUnreachable), start, restore.Refuse, 0, exit.Unreachable, ""},
		{"unreachable, unfinished", with(full(), begun, from(2, 3)), fails(store.ErrUnreachable), start, restore.Refuse, 0, exit.Unreachable, ""},

		// Nothing is there.
		{"empty", empty(), two, Settings{}, restore.Run, 2, 0, "empty"},
		{"empty again", with(empty(), clean, ran(8, from(1, 2))), two, Settings{}, restore.Run, 2, 0, "again"},
		{"empty, nothing stored", empty(), holds(), Settings{}, restore.Refuse, 0, exit.NoSnapshot, "restore.on_empty"},
		{"empty, nothing stored, first start", empty(), holds(), start, restore.None, 0, 0, "first start"},
		{"empty, first start set, but something stored", empty(), two, start, restore.Run, 2, 0, ""},
		{"newest is damaged", empty(), holds(snap(1, 2), damagedSnap(2, 3)), start, restore.Run, 1, 0, ""},
		{"all are damaged", empty(), holds(damagedSnap(1, 2), damagedSnap(2, 3)), start, restore.Refuse, 0, exit.Damaged, "all 2"},

		// Which one.
		{"by id", empty(), two, Settings{At: string(snap(1, 2).ID)}, restore.Run, 1, 0, ""},
		{"by id, not live", empty(), two, Settings{At: string(snap(4, 2).ID)}, restore.Refuse, 0, exit.NoSnapshot, "no such snapshot"},
		{"by id, damaged", empty(), holds(damagedSnap(1, 2)), Settings{At: string(snap(1, 2).ID)}, restore.Refuse, 0, exit.Damaged, "pack 3"},
		{"by time", empty(), two, Settings{At: "2026-03-04T13:30:00Z"}, restore.Run, 1, 0, ""},
		{"by time of another zone", empty(), two, Settings{At: "2026-03-04T15:00:00+01:00"}, restore.Run, 2, 0, ""},
		{"before all", empty(), two, Settings{At: "2026-03-04T12:59:59Z"}, restore.Refuse, 0, exit.NoSnapshot, "none of the store's 2"},
		{"nonsense", empty(), two, Settings{At: "yesterday"}, restore.Refuse, 0, exit.Config, "yesterday"},

		// Unfinished.
		{"unfinished", with(full(), begun, from(2, 3)), two, Settings{}, restore.Resume, 2, 0, "resumed in place"},
		{"unfinished, of an older one that was wanted", with(full(), begun, state(from(1, 2), func(s *restore.State) { s.Origin.Catalog = 3 })), two, Settings{}, restore.Resume, 1, 0, ""},
		{"unfinished, published since", with(full(), begun, from(2, 3)), later, Settings{}, restore.Resume, 5, 0, ""},
		{"unfinished, forgotten since", with(full(), begun, from(2, 3)), holds(snap(1, 2)), Settings{}, restore.Resume, 1, 0, ""},
		{"unfinished, damaged since", with(full(), begun, from(2, 3)), holds(snap(1, 2), damagedSnap(2, 3)), Settings{}, restore.Resume, 1, 0, ""},
		{"unfinished, another one wanted now", with(full(), begun, from(2, 3)), two, Settings{At: string(snap(1, 2).ID)}, restore.Resume, 1, 0, ""},
		{"unfinished, from another store", with(full(), begun, state(from(2, 3), func(s *restore.State) { s.Origin.Repository = otherRepo })), holds(snap(1, 2)), Settings{}, restore.Resume, 1, 0, ""},
		{"unfinished, nothing stored", with(full(), begun, from(2, 3)), holds(), start, restore.Refuse, 0, exit.NoSnapshot, "no snapshot any more"},
		{"unfinished, nothing of it there", with(empty(), begun, from(2, 3)), two, Settings{}, restore.Resume, 2, 0, ""},
		{"unfinished, another directory", with(full(), begun, state(from(2, 3), moved)), two, replace, restore.Refuse, 0, exit.Restore, "another directory"},
		{"unfinished script over data", with(full(), begun, byScript), two, replace, restore.Refuse, 0, exit.Restore, ""},
		{"unfinished script into empty", with(full(), begun, nil), two, Settings{}, restore.Resume, 2, 0, ""},
		{"recorded empty, not begun", with(empty(), restore.PhaseEmpty, from(2, 3)), two, Settings{}, restore.Resume, 2, 0, ""},
		{"recorded empty, and now something there", with(full(), restore.PhaseEmpty, from(2, 3)), two, Settings{}, restore.Refuse, 0, exit.Restore, "somebody else"},
		{"unfinished, never", with(full(), begun, from(2, 3)), two, never, restore.Refuse, 0, exit.Restore, "never"},

		// Ours.
		{"ours, restored now", with(full(), clean, ran(3, from(2, 3))), two, Settings{}, restore.None, 0, 0, "ours"},
		{"ours, its own snapshots since", with(full(), clean, ran(7, from(2, 3))), later, Settings{}, restore.None, 0, 0, "ours"},
		{"ours, of a tenure later than any", with(full(), clean, ran(8, from(2, 3))), later, Settings{}, restore.None, 0, 0, ""},
		{"ours, nothing stored", with(full(), clean, ran(8, from(2, 3))), holds(), Settings{}, restore.None, 0, 0, ""},
		{"adopted once, nothing later", with(full(), clean, ran(7)), later, Settings{}, restore.None, 0, 0, ""},
		{"older one restored on purpose", with(full(), clean, ran(8, from(1, 2))), later, Settings{}, restore.None, 0, 0, ""},

		// Stale.
		{"stale", with(full(), clean, ran(6, from(2, 3))), later, Settings{}, restore.Refuse, 0, exit.Restore, "restore.diverged"},
		{"stale, a copy is kept", with(full(), clean, ran(6, from(2, 3))), later, keep, KeepCopy, 5, 0, "put aside"},
		{"stale, replaced", with(full(), clean, ran(6, from(2, 3))), later, replace, Replace, 5, 0, "restored over"},
		{"stale, adopted once", with(full(), clean, ran(6)), later, replace, Replace, 5, 0, ""},
		{"stale, the later one damaged", with(full(), clean, ran(6)), holds(snap(2, 3), damagedSnap(5, 7)), replace, Replace, 2, 0, ""},
		{"stale, but another directory", with(full(), clean, ran(6, moved)), later, replace, restore.Refuse, 0, exit.Restore, "another one"},
		{"stale, another directory, copy", with(full(), clean, ran(6, moved)), later, keep, restore.Refuse, 0, exit.Restore, "another one"},
		{"restored alone, never run", with(full(), clean, state(from(2, 3), alone0)), two, Settings{}, restore.None, 0, 0, ""},
		{"restored alone, overtaken", with(full(), clean, state(from(2, 3), alone0)), later, keep, KeepCopy, 5, 0, ""},

		// Unknown.
		{"unknown", full(), later, replace, restore.None, 0, 0, "never overwritten"},
		{"unknown, nothing stored", full(), holds(), Settings{}, restore.None, 0, 0, "adopted"},
		{"by a script, never run with a store", with(full(), clean, nil), later, replace, restore.None, 0, 0, "adopted"},
		{"restored alone from another store", with(full(), clean, state(from(2, 3), func(s *restore.State) { s.Origin.Repository = otherRepo })), later, replace, restore.None, 0, 0, "adopted"},

		// always, never.
		{"always, ours", with(full(), clean, ran(8, from(2, 3))), two, always, Replace, 2, 0, ""},
		{"always, empty", empty(), two, always, restore.Run, 2, 0, ""},
		{"always, unknown", full(), two, always, restore.Refuse, 0, exit.Restore, "not known to be ours"},
		{"always, another directory", with(full(), clean, ran(8, moved)), two, always, restore.Refuse, 0, exit.Restore, ""},
		{"always, nothing stored", with(full(), clean, ran(8)), holds(), always, restore.Refuse, 0, exit.NoSnapshot, ""},
		{"always, nothing stored, first start", with(full(), clean, ran(8)), holds(), Settings{When: restore.WhenAlways, OnEmpty: OnEmptyStart}, restore.None, 0, 0, ""},
		{"never", empty(), fails(store.ErrUnreachable), never, restore.None, 0, 0, ""},

		// No setting makes these right.
		{"later holder was here", with(full(), clean, ran(10)), two, Settings{}, restore.Refuse, 0, exit.Restore, "later holder"},
		{"later holder restored here", with(full(), clean, func(s *restore.State) { s.Token = 10 }), two, never, restore.Refuse, 0, exit.Restore, "later holder"},
		{"missing directory", restore.Look{Data: "/d", Dir: restore.DirMissing}, two, start, restore.Refuse, 0, exit.Restore, "missing"},
		{"unknown directory", restore.Look{Data: "/d", Dir: restore.DirUnknown}, two, start, restore.Refuse, 0, exit.Restore, "unknown"},
		{"unusable state file", restore.Look{Data: "/d", Dir: restore.DirEmpty, Trouble: "torn"}, two, start, restore.Refuse, 0, exit.Restore, "torn"},
		{"settings", empty(), two, Settings{Diverged: "maybe"}, restore.Refuse, 0, exit.Config, "maybe"},
		{"settings when", empty(), two, Settings{When: "maybe"}, restore.Refuse, 0, exit.Config, "maybe"},
		{"settings on empty", empty(), two, Settings{OnEmpty: "maybe"}, restore.Refuse, 0, exit.Config, "maybe"},
	}
}

func TestChoose(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			c := Choose(r.look, r.in, r.set)
			if c.Action != r.want || c.Snapshot.Number != r.snap || c.Code != r.code || !strings.Contains(c.Reason, r.says) {
				t.Errorf("%+v: expected %s of %d, code %d, saying %q", c, r.want, r.snap, r.code, r.says)
			}
			if c.Restores() != (r.snap != 0) || c.Restores() && (c.Repository != repoID || c.Catalog != r.in.Catalog.Number) {
				t.Errorf("%+v: restores %v", c, c.Restores())
			}
			if strings.Contains(c.Reason, "\n") || c.Reason == "" || exit.Code(c.Err()) != c.Code {
				t.Errorf("%q, %v", c.Reason, c.Err())
			}
			if c.Retry != (c.Code == exit.Unreachable && !errors.Is(r.in.Err, snapshot.ErrForeign) && !errors.Is(r.in.Err, context.Canceled)) {
				t.Errorf("retry %v with code %d", c.Retry, c.Code)
			}
		})
	}
}

func TestChooseAlone(t *testing.T) {
	two := holds(snap(1, 2), snap(2, 3))
	missing := restore.Look{Data: "/d", Dir: restore.DirMissing, Rel: "../d"}
	mine := func(l restore.Look) restore.Look { l.Ours = 0; return l }
	for _, r := range []struct {
		name    string
		look    restore.Look
		in      Found
		replace bool
		want    restore.Action
		code    int
	}{
		{"empty", mine(empty()), two, false, restore.Run, 0},
		{"missing", missing, two, false, restore.Run, 0},
		{"missing, replace", missing, two, true, restore.Run, 0},
		{"empty, nothing stored", mine(empty()), holds(), false, restore.Refuse, exit.NoSnapshot},
		{"not empty", mine(full()), two, false, restore.Refuse, exit.Restore},
		{"not empty, replace", mine(full()), two, true, Replace, 0},
		{"unfinished", with(mine(full()), restore.PhaseRestoring, from(2, 3)), two, false, restore.Resume, 0},
		{"unfinished, replace", with(mine(full()), restore.PhaseRestoring, from(2, 3)), two, true, Replace, 0},
		{"unfinished, another directory", with(mine(full()), restore.PhaseRestoring, state(from(2, 3), moved)), two, false, restore.Refuse, exit.Restore},
		{"restored", with(mine(full()), restore.PhaseClean, from(2, 3)), two, false, restore.Refuse, exit.Restore},
		{"unreachable", mine(empty()), fails(store.ErrUnreachable), false, restore.Refuse, exit.Unreachable},
		{"a file", restore.Look{Data: "/d", Dir: restore.DirNot}, two, true, restore.Refuse, exit.Restore},
	} {
		t.Run(r.name, func(t *testing.T) {
			if c := ChooseAlone(r.look, r.in, "", r.replace); c.Action != r.want || c.Code != r.code {
				t.Errorf("%+v: expected %s, code %d", c, r.want, r.code)
			}
		})
	}
}
