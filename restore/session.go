package restore

import (
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
)

// A Way is by what right a restore from a store writes into the data directory.
type Way string

// Ways.
const (
	Fresh Way = "fresh" // it is empty
	Again Way = "again" // what is there came from a restore from a store that did not end
	Over  Way = "over"  // what is there was given up: it may be removed
)

// A Session is the account of a restore from a store, locked from the look until Close, so that no other
// process of this host begins one meanwhile.
type Session struct {
	d *durable.Dir
	t Target
}

// Open locks the account, and makes the state directory where it is not there yet.
func Open(t Target) (*Session, error) {
	d, err := durable.OpenOrMake(t.StateDir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := d.Lock(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Session{d, t}, nil
}

// Close ends the session; the account stands as it is.
func (s *Session) Close() error { return s.d.Close() }

// Look is what is there.
func (s *Session) Look() Look { return Inspect(s.t.Data, s.t.StateDir, s.t.Token) }

// Begin looks again, refuses unless the way is the right one for what is there, and records the restore as
// begun, durably. Only then may anything be written.
func (s *Session) Begin(o Origin, way Way) error {
	l := s.Look()
	if err := mayBegin(l, way); err != nil {
		return err
	}
	st := State{
		Data: l.Rel, Path: s.t.Data, Inode: l.Inode, Phase: PhaseRestoring, When: WhenEmpty,
		Token: s.t.Token, Holder: s.t.Holder, Started: time.Now(), Origin: o,
	}
	switch way {
	case Fresh:
		st.Phase = PhaseEmpty
		if err := storeState(s.d, st); err != nil {
			return err
		}
		breakpoint.At("restore:recorded")
		if err := stillEmpty(s.t, st.Inode); err != nil {
			return err
		}
		st.Phase = PhaseRestoring
	case Again:
		st.When = l.State.When
	case Over:
		st.When = whenReplace
	}
	if err := storeState(s.d, st); err != nil {
		return err
	}
	breakpoint.At("restore:state")
	return nil
}

// mayBegin holds a way against what is there.
func mayBegin(l Look, way Way) error {
	if why := l.Unusable(); why != "" {
		return fmt.Errorf("%w: %s", ErrRefused, why)
	}
	switch {
	case way == Fresh && l.Dir != DirEmpty:
		return fmt.Errorf("%w: expected to find data directory %q empty, but it holds %q: end whatever writes into it", ErrRefused, l.Data, l.Detail)
	case way == Again && !l.OwnLeftover():
		return fmt.Errorf("%w: data directory %q: what it holds (%q) is not what a restore of ours left", ErrRefused, l.Data, l.Detail)
	case way != Fresh && way != Again && way != Over:
		return fmt.Errorf("%w: unknown way %q", ErrRefused, way)
	}
	return nil
}

// OwnLeftover tells whether all that lies in the data directory came there by a restore that did not end:
// into the very directory of the record, after a record that said empty or given up.
func (l Look) OwnLeftover() bool {
	return l.Found && l.State.Phase == PhaseRestoring && l.State.When != WhenAlways &&
		l.State.Inode == l.Inode && l.Inode != 0 && (l.Dir == DirEmpty || l.Dir == DirNonempty)
}

// Empty removes all that is in the data directory, for a restore that cannot go on over it: after Begin.
func (s *Session) Empty() error {
	l := s.Look()
	if err := mayCommit(l); err != nil {
		return err
	}
	if !l.OwnLeftover() {
		return fmt.Errorf("%w: data directory %q is not what the record speaks of: nothing was removed", ErrRefused, l.Data)
	}
	if err := clean(s.t.Data, s.t.StateDir, l.State.Inode); err != nil {
		return err
	}
	breakpoint.At("restore:cleaned")
	return stillEmpty(s.t, l.State.Inode)
}

// End syncs the filesystem of the data and records the restore as clean; of a tenure, as its data.
func (s *Session) End() error {
	l := s.Look()
	if err := mayCommit(l); err != nil {
		return err
	}
	if l.State.Inode != l.Inode {
		return fmt.Errorf("%w: another directory lies at %q than the one that was restored into", ErrRefused, l.Data)
	}
	if err := syncData(s.t.Data); err != nil {
		return err
	}
	breakpoint.At("restore:commit")
	st := l.State
	st.Phase, st.Ended = PhaseClean, time.Now()
	if s.t.Token != 0 {
		st.Last = Tenure{Token: s.t.Token, Holder: s.t.Holder, Since: st.Ended}
	}
	return storeState(s.d, st)
}
