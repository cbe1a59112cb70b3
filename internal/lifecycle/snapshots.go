package lifecycle

import (
	"maps"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// SnapshotStatus is the store's part of /status; nil where there is no store.
type SnapshotStatus struct {
	Store    string         `json:"store"`
	Newest   string         `json:"newest,omitempty"`      // snapshot of the store, as far as we know
	Taken    *time.Time     `json:"newest_time,omitempty"` // when it began
	Bytes    int64          `json:"last_bytes,omitempty"`  // of all files of our last one
	Stored   int64          `json:"last_stored_bytes,omitempty"`
	Seconds  float64        `json:"last_seconds,omitempty"` // how long it took, published or not
	Failure  string         `json:"last_failure,omitempty"` // empty again after a success
	Next     *time.Time     `json:"next,omitempty"`
	Counts   map[string]int `json:"backups"` // by result
	Total    int64          `json:"stored_bytes_total"`
	UnderWay *UnderWay      `json:"under_way,omitempty"`
}

// UnderWay is a restore or a backup that goes on.
type UnderWay struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
	courier.Progress
}

// Results of backups, for metrics.
const (
	resultPublished = "published"
	resultFailed    = "failed"
	resultCut       = "cut" // killed by a stop or a loss
)

// BackupResults lists them.
func BackupResults() []string { return []string{resultPublished, resultFailed, resultCut} }

// snapshots is the part of the picture that couriers' lines change; the mutex of shared guards it.
func (s *shared) change(f func(*SnapshotStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshots.Counts == nil {
		s.snapshots.Counts = map[string]int{}
	}
	f(&s.snapshots)
}

// copySnapshots is called with the mutex held.
func (s *shared) copySnapshots(store string) *SnapshotStatus {
	if store == "" {
		return nil
	}
	c := s.snapshots
	c.Store, c.Counts = store, maps.Clone(c.Counts)
	if c.UnderWay != nil {
		u := *c.UnderWay
		c.UnderWay = &u
	}
	return &c
}

// found is the newest snapshot, that of the store at the claim or one of ours.
func (s *shared) found(n snapshot.Snapshot) {
	if n.ID == "" {
		return
	}
	s.change(func(st *SnapshotStatus) {
		at := n.Time
		st.Newest, st.Taken = string(n.ID), &at
	})
}

// newest is when the newest snapshot began; zero where there is none.
func (s *shared) newest() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshots.Taken == nil {
		return time.Time{}
	}
	return *s.snapshots.Taken
}

func (s *shared) due(t time.Time) { s.change(func(st *SnapshotStatus) { st.Next = &t }) }

func (s *shared) begins(what string, at time.Time) {
	s.change(func(st *SnapshotStatus) { st.UnderWay, st.Next = &UnderWay{What: what, Since: at}, nil })
}

func (s *shared) progress(p courier.Progress) {
	s.change(func(st *SnapshotStatus) {
		if st.UnderWay != nil {
			st.UnderWay.Progress = p
		}
	})
}

func (s *shared) rests() { s.change(func(st *SnapshotStatus) { st.UnderWay = nil }) }

func (s *shared) backedUp(a courier.Answer, err error, took time.Duration) {
	s.change(func(st *SnapshotStatus) {
		st.UnderWay, st.Seconds = nil, took.Seconds()
		if err != nil {
			st.Counts[resultFailed]++
			st.Failure = err.Error()
			return
		}
		st.Counts[resultPublished]++
		st.Failure, st.Bytes, st.Stored = "", a.Snapshot.Bytes, a.Snapshot.Stored
		st.Total += a.Snapshot.Stored
	})
	if err == nil {
		s.found(a.Snapshot)
	}
}

func (s *shared) cut() {
	s.change(func(st *SnapshotStatus) {
		st.UnderWay = nil
		st.Counts[resultCut]++
	})
}
