package pull

import (
	"fmt"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
)

// Actions of a Choice beside those of package restore. Both end in a restore.
const (
	KeepCopy restore.Action = "keep-copy" // put the data aside, then restore into an empty directory
	Replace  restore.Action = "replace"   // restore over the data in place
)

// Values of settings.
const (
	OnEmptyStop      = "stop"
	OnEmptyStart     = "start"
	DivergedStop     = "stop"
	DivergedKeepCopy = "keep-copy"
	DivergedReplace  = "replace"
	Latest           = "latest"
)

// Settings are what the user wants; empty ones are the first of each list.
type Settings struct {
	When     string // restore.WhenEmpty, WhenAlways, WhenNever
	OnEmpty  string // OnEmptyStop, OnEmptyStart: nothing there and nothing in the store
	Diverged string // DivergedStop, DivergedKeepCopy, DivergedReplace: a later tenure has published
	At       string // Latest, a snapshot's ID, or a time in RFC 3339: the last one begun until then
}

// Found is what the store showed after the claim.
type Found struct {
	Repository string // its id
	Catalog    snapshot.Catalog
	Err        error // why it could not be read; then the rest means nothing
}

// A Choice is what is to be done before the payload starts, and why, in one line.
type Choice struct {
	Action     restore.Action    `json:"action"`
	Reason     string            `json:"reason"`
	Snapshot   snapshot.Snapshot `json:"snapshot,omitzero"` // of all that restore
	Repository string            `json:"repository,omitempty"`
	Catalog    uint64            `json:"catalog,omitempty"` // number of the one chosen from
	Inode      uint64            `json:"inode,omitempty"`   // of the directory that was looked at
	Code       int               `json:"code,omitempty"`    // with restore.Refuse: the exit code
	Retry      bool              `json:"retry,omitempty"`   // with restore.Refuse: the store may answer later
}

// Restores tells whether Run has something to do.
func (c Choice) Restores() bool {
	switch c.Action {
	case restore.Run, restore.Resume, KeepCopy, Replace:
		return true
	}
	return false
}

// Err is nil unless the choice refuses; then it carries the exit code.
func (c Choice) Err() error {
	if c.Action != restore.Refuse {
		return nil
	}
	return exit.Withf(c.Code, "%s", c.Reason)
}

// Decision is the choice for log and status.
func (c Choice) Decision() restore.Decision {
	return restore.Decision{Action: c.Action, Reason: c.Reason}
}

// bound ties a choice to what it was made of.
func (c Choice) bound(l restore.Look, f Found) Choice {
	if c.Restores() {
		c.Repository, c.Catalog, c.Inode = f.Repository, f.Catalog.Number, l.Inode
	}
	return c
}

func refuse(code int, format string, args ...any) Choice {
	return Choice{Action: restore.Refuse, Code: code, Reason: fmt.Sprintf(format, args...)}
}

func none(format string, args ...any) Choice {
	return Choice{Action: restore.None, Reason: fmt.Sprintf(format, args...)}
}
