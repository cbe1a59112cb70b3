package restore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/durable"
)

// StateFile is the name of the state file in the state directory.
const StateFile = "restore.json"

// StateVersion is the one format of a state file.
const StateVersion = 2

// A Phase is how far a restore came.
type Phase string

// Phases. The script runs only in PhaseRestoring.
const (
	PhaseEmpty     Phase = "empty-recorded" // found empty; the script was not started yet
	PhaseRestoring Phase = "restoring"
	PhaseClean     Phase = "clean" // or adopted: nothing is unfinished
)

// A State is the account of one restore, and of who ran on the data since.
type State struct {
	V       int         `json:"v"`
	Data    string      `json:"data"`  // seen from the state directory: the mount may lie elsewhere on another host
	Path    string      `json:"path"`  // the same, absolute, for people
	Inode   uint64      `json:"inode"` // of the directory that was recorded as empty, is replaced or was adopted
	Phase   Phase       `json:"phase"`
	When    string      `json:"when"`         // empty: it was recorded as empty; always: nothing may be removed; replace, adopted
	Token   fence.Token `json:"token,string"` // of who restored; 0: a restore from the store without a lock
	Holder  string      `json:"holder"`
	Started time.Time   `json:"started"` // wall clock, for people
	Ended   time.Time   `json:"ended,omitzero"`
	Origin  Origin      `json:"origin,omitzero"` // of a restore from a store
	Last    Tenure      `json:"last,omitzero"`   // that started on this data; only where snapshots are taken
}

// An Origin is the snapshot that the data is, or is being, restored from.
type Origin struct {
	Repository string `json:"repository"`
	Snapshot   string `json:"snapshot"`
	Catalog    uint64 `json:"catalog"` // number of the catalog that it was chosen from
}

// A Tenure is one that started on the data.
type Tenure struct {
	Token  fence.Token `json:"token,string"`
	Holder string      `json:"holder"`
	Since  time.Time   `json:"since"`           // wall clock, for people
	Aside  string      `json:"aside,omitempty"` // name under which the data is being put aside, as another tenure went on elsewhere
}

// ParseState reads the content of a state file. Whatever is not wholly understood is ErrState.
func ParseState(data []byte) (State, error) {
	var s State
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&s)
	if err == nil && len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		err = errors.New("something follows it")
	}
	if err != nil {
		return State{}, fmt.Errorf("%w: %d bytes that are no state: %v", ErrState, len(data), err)
	}
	if err := s.check(); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	return s, nil
}

func (s State) check() error {
	switch {
	case s.V != StateVersion:
		return fmt.Errorf("format v=%d: expected %d: use the version of interlock that wrote it", s.V, StateVersion)
	case s.Phase != PhaseEmpty && s.Phase != PhaseRestoring && s.Phase != PhaseClean:
		return fmt.Errorf("phase %q: expected %s, %s or %s", s.Phase, PhaseEmpty, PhaseRestoring, PhaseClean)
	case s.When != WhenEmpty && s.When != WhenAlways && s.When != whenReplace && s.When != whenAdopted:
		return fmt.Errorf("when %q: expected %s, %s, %s or %s", s.When, WhenEmpty, WhenAlways, whenReplace, whenAdopted)
	case s.Phase == PhaseEmpty && s.When != WhenEmpty:
		return fmt.Errorf("phase %s with when %q: expected %s", s.Phase, s.When, WhenEmpty)
	case s.When == whenAdopted && (s.Phase != PhaseClean || s.Last.Token == 0 || s.FromStore()):
		return fmt.Errorf("phase %s, last tenure %s, snapshot %q with when %q: expected %s, a tenure and none", s.Phase, s.Last.Token, s.Origin.Snapshot, s.When, PhaseClean)
	case s.FromStore() && (s.When == WhenAlways || s.Origin.Repository == ""), !s.FromStore() && (s.When == whenReplace || s.Origin != (Origin{})):
		return fmt.Errorf("when %q with origin %+v", s.When, s.Origin)
	case s.Token == 0 && !s.FromStore(), s.Token > 1<<63-1, s.Last.Token > 1<<63-1:
		return fmt.Errorf("tokens %d and %d: expected 1 to 2^63-1", uint64(s.Token), uint64(s.Last.Token))
	case s.Last.Token == 0 && s.Last.Holder != "", s.Last.Aside != "" && filepath.Base(s.Last.Aside) != s.Last.Aside:
		return fmt.Errorf("last tenure %+v", s.Last)
	case s.Data == "" || s.When != WhenAlways && s.Inode == 0:
		return fmt.Errorf("data %q, inode %d: expected both", s.Data, s.Inode)
	}
	return nil
}

// FromStore tells whether the data comes, or is coming, from a snapshot store.
func (s State) FromStore() bool { return s.Origin.Snapshot != "" }

// loadState returns the state, false when there is none.
func loadState(d *durable.Dir) (State, bool, error) {
	path := filepath.Join(d.Path(), StateFile)
	data, err := d.Read(StateFile)
	switch {
	case errors.Is(err, durable.ErrAbsent):
		return State{}, false, nil
	case errors.Is(err, durable.ErrOdd):
		return State{}, false, fmt.Errorf("%w: %w: %s", ErrState, err, wayOut)
	case err != nil:
		return State{}, false, fmt.Errorf("read state of restore: %w", err)
	}
	s, err := ParseState(data)
	if err != nil {
		return State{}, false, fmt.Errorf("%q: %w: %s", path, err, wayOut)
	}
	return s, true, nil
}

const wayOut = "look whether the data is whole; if it is, remove the file " + StateFile + " in the state directory, else empty the data directory first"

// storeState puts the state of this target into the state directory, durably.
func storeState(d *durable.Dir, s State) error {
	s.V = StateVersion
	if err := s.check(); err != nil {
		return fmt.Errorf("write state of restore: %w", err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write state of restore: %w", err)
	}
	if err := d.Replace(StateFile, append(data, '\n')); err != nil {
		return fmt.Errorf("write state of restore: %w", err)
	}
	return nil
}

// relative is how a state file names the data directory.
func relative(stateDir, data string) (string, error) {
	rel, err := filepath.Rel(stateDir, data)
	if err != nil || !filepath.IsAbs(stateDir) || !filepath.IsAbs(data) {
		return "", fmt.Errorf("data %q, state directory %q: expected two absolute paths", data, stateDir)
	}
	return rel, nil
}
