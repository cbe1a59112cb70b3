package restore

import (
	"fmt"
	"time"
)

// An Action is what is to be done before the payload starts.
type Action string

// Actions.
const (
	None   Action = "none"   // start on what is there
	Run    Action = "run"    // restore
	Resume Action = "resume" // repeat a restore that did not end
	Refuse Action = "refuse" // start nothing: exit 73
)

// A Decision says what is to be done, and why, in one line for log, status and dry run.
type Decision struct {
	Action  Action `json:"action"`
	Reason  string `json:"reason"`
	Cleanup bool   `json:"cleanup,omitempty"` // first remove what an unfinished restore left
}

// Decide is a pure function of what is there and what was asked for.
func Decide(l Look, when string, hasScript bool) Decision {
	if d := cannot(l); d.Action == Refuse {
		return d
	}
	if hasScript && when != WhenEmpty && when != WhenAlways && when != WhenNever {
		return refuse("restore.when is %q: expected %s, %s or %s", when, WhenEmpty, WhenAlways, WhenNever)
	}
	if l.Found && l.State.Phase != PhaseClean {
		return unfinished(l, when, hasScript)
	}
	return fresh(l, when, hasScript)
}

func refuse(format string, args ...any) Decision {
	return Decision{Action: Refuse, Reason: fmt.Sprintf(format, args...)}
}

// Unusable tells why no setting makes this place right for any restore or start; empty: it may be.
func (l Look) Unusable() string { return cannot(l).Reason }

// cannot refuses what no setting makes right: a place that is not known, a state that is not ours.
func cannot(l Look) Decision {
	switch {
	case l.Trouble != "":
		return refuse("%s", l.Trouble)
	case l.Dir == DirMissing:
		return refuse("data directory %q is missing (%s): check that it is mounted and spelled right, or create it: it is never created here", l.Data, l.Detail)
	case l.Dir == DirNot:
		return refuse("data directory %q is no directory (%s): expected a directory, not a file or a symbolic link", l.Data, l.Detail)
	case l.Dir != DirEmpty && l.Dir != DirNonempty:
		return refuse("data directory %q cannot be read (%s), so whether it is empty is unknown: check mount and access rights", l.Data, l.Detail)
	case !l.Found:
		return Decision{}
	case l.State.Data != l.Rel:
		return refuse("state file speaks of data directory %q (%q from the state directory), ours is %q (%q): give each data directory its own state directory", l.State.Path, l.State.Data, l.Data, l.Rel)
	case l.Ours != 0 && l.State.Last.Token > l.Ours:
		return refuse("a later holder ran on this data: token %s (%q), ours is %s: if the lock service was rebuilt, raise --token-epoch", l.State.Last.Token, l.State.Last.Holder, l.Ours)
	case l.Ours != 0 && l.State.Token > l.Ours:
		return refuse("state file was written by a later holder: token %s (%q), ours is %s: if the lock service was rebuilt, raise --token-epoch", l.State.Token, l.State.Holder, l.Ours)
	}
	return Decision{}
}

// fresh decides where no restore is unfinished.
func fresh(l Look, when string, hasScript bool) Decision {
	switch {
	case !hasScript:
		return Decision{Action: None, Reason: "no restore script is set"}
	case when == WhenNever:
		return Decision{Action: None, Reason: "restore.when is never"}
	case when == WhenAlways:
		return Decision{Action: Run, Reason: "restore.when is always"}
	case l.Dir == DirEmpty && l.Found:
		return Decision{Action: Run, Reason: fmt.Sprintf("data directory is empty again after the restore of %s", began(l.State))}
	case l.Dir == DirEmpty:
		return Decision{Action: Run, Reason: "data directory is empty"}
	case l.Found && l.State.When == whenAdopted:
		return Decision{Action: None, Reason: fmt.Sprintf("not empty, adopted by token %s, holder %q", l.State.Last.Token, l.State.Last.Holder)}
	case l.Found:
		return Decision{Action: None, Reason: fmt.Sprintf("already restored: %s", began(l.State))}
	}
	return Decision{Action: None, Reason: fmt.Sprintf("not empty (%q), adopted, never overwritten", l.Detail)}
}

// unfinished decides where a state file says that a restore began and did not end.
func unfinished(l Look, when string, hasScript bool) Decision {
	what := "a restore is unfinished (" + began(l.State) + ")"
	switch {
	case l.State.FromStore() && (!hasScript || l.Dir != DirEmpty && (when == WhenAlways || l.State.When != WhenEmpty)):
		return refuse("%s from snapshot %s of a store: set restore.from to store to finish it; or %s", what, l.State.Origin.Snapshot, wayOut)
	case !hasScript:
		return refuse("%s and no restore script is set: set it; or %s", what, wayOut)
	case when == WhenNever:
		return refuse("%s and restore.when is never: set it to empty or always; or %s", what, wayOut)
	case l.Ours != 0 && l.State.Token == l.Ours && l.State.Phase == PhaseRestoring:
		return refuse("%s and belongs to this very tenure: it is never begun twice", what)
	case when == WhenAlways:
		return Decision{Action: Resume, Reason: what + ": run again, nothing is removed"}
	case l.Dir == DirEmpty:
		return Decision{Action: Resume, Reason: what + " and the data directory is empty"}
	}
	return unfinishedNonempty(l, what)
}

// unfinishedNonempty: what lies there may be removed only if all of it came after the record that said
// empty, into the very directory of that record, when a script may have been at work.
func unfinishedNonempty(l Look, what string) Decision {
	switch {
	case l.State.When != WhenEmpty:
		return refuse("%s over a directory that was not empty, so nothing may be removed: set restore.when to always to repeat it; or %s", what, wayOut)
	case l.State.Phase != PhaseRestoring:
		return refuse("%s, its script never started, and yet %q is there: somebody else put it there; %s", what, l.Detail, wayOut)
	case l.State.Inode != l.Inode:
		return refuse("%s in another directory (inode %d, now %d), so nothing may be removed: %s", what, l.State.Inode, l.Inode, wayOut)
	}
	return Decision{Action: Resume, Cleanup: true, Reason: what + ": what it left is removed, then it is run again"}
}

func began(s State) string {
	return fmt.Sprintf("token %s, holder %q, begun %s", s.Token, s.Holder, s.Started.UTC().Format(time.RFC3339))
}
