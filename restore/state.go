package restore

import (
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
const StateVersion = 1

// A Phase is how far a restore came.
type Phase string

// Phases. The script runs only in PhaseRestoring.
const (
	PhaseEmpty     Phase = "empty-recorded" // found empty; the script was not started yet
	PhaseRestoring Phase = "restoring"
	PhaseClean     Phase = "clean"
)

// A State is the account of one restore.
type State struct {
	V       int         `json:"v"`
	Data    string      `json:"data"`  // seen from the state directory: the mount may lie elsewhere on another host
	Path    string      `json:"path"`  // the same, absolute, for people
	Inode   uint64      `json:"inode"` // of the directory that was recorded as empty
	Phase   Phase       `json:"phase"`
	When    string      `json:"when"` // empty: it was recorded as empty; always: nothing may be removed
	Token   fence.Token `json:"token,string"`
	Holder  string      `json:"holder"`
	Started time.Time   `json:"started"` // wall clock, for people
	Ended   time.Time   `json:"ended,omitzero"`
}

// ParseState reads the content of a state file. Whatever is not wholly understood is ErrState.
func ParseState(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
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
	case s.When != WhenEmpty && s.When != WhenAlways:
		return fmt.Errorf("when %q: expected %s or %s", s.When, WhenEmpty, WhenAlways)
	case s.Phase == PhaseEmpty && s.When != WhenEmpty:
		return fmt.Errorf("phase %s with when %q: expected %s", s.Phase, s.When, WhenEmpty)
	case s.Token == 0 || s.Token > 1<<63-1:
		return fmt.Errorf("token %d: expected 1 to 2^63-1", uint64(s.Token))
	case s.Data == "" || s.When == WhenEmpty && s.Inode == 0:
		return fmt.Errorf("data %q, inode %d: expected both", s.Data, s.Inode)
	}
	return nil
}

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
